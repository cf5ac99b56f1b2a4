/**
 * ICE servers from the edge's `/v1/ice`, kept for a while. Without them WebRTC still works where a direct address does,
 * so a failure is an empty list and not an error.
 */
import type { IceServer, Runtime } from "../runtime.ts";

const FETCH_TIMEOUT_MS = 3_000;
/** TURN credentials live for an hour. */
const KEEP_MS = 600_000;
const SERVERS_MAX = 8;
const URLS_MAX = 8;
const RESPONSE_CHARACTERS_MAX = 16_384;

/** Who asks: an edge gives TURN to its members alone. */
export interface IceMember {
  readonly network: string;
  /** What the edge gave when it let this peer in last; "" before. */
  readonly back: string;
  /** What shows it, as a query. */
  proof(): Promise<string>;
}

export class IceServers {
  readonly #runtime: Runtime;
  readonly #edge: string;
  readonly #member: IceMember | undefined;
  #known:
    | { readonly servers: Promise<readonly IceServer[]>; readonly untilMs: number; readonly back: string }
    | undefined;

  constructor(runtime: Runtime, edge: string, member?: IceMember) {
    this.#runtime = runtime;
    this.#edge = edge;
    this.#member = member;
  }

  get(): Promise<readonly IceServer[]> {
    const nowMs = this.#runtime.clock.monotonicMs();
    const back = this.#member?.back ?? "";
    if (this.#known === undefined || this.#known.untilMs < nowMs || this.#known.back !== back) {
      const servers = this.#fetch().catch((error: unknown) => {
        this.#runtime.log.debug("no ice servers", { error: String(error) });
        this.#known = undefined;
        return [];
      });
      this.#known = { servers, untilMs: nowMs + KEEP_MS, back };
    }
    return this.#known.servers;
  }

  async #fetch(): Promise<readonly IceServer[]> {
    const stop = new AbortController();
    const timer = this.#runtime.clock.setTimer(FETCH_TIMEOUT_MS, () => stop.abort());
    try {
      const query = this.#member && `?network=${this.#member.network}&${await this.#member.proof()}`;
      const response = await fetch(new URL(`/v1/ice${query ?? ""}`, this.#edge), { signal: stop.signal });
      const text = await response.text();
      if (!response.ok || text.length > RESPONSE_CHARACTERS_MAX) return [];
      return parseIceServers(JSON.parse(text));
    } finally {
      timer.cancel();
    }
  }
}

/** Takes only what is well formed. */
export function parseIceServers(value: unknown): IceServer[] {
  const list =
    typeof value === "object" && value !== null && "iceServers" in value ? value.iceServers : undefined;
  if (!Array.isArray(list)) return [];
  return list.slice(0, SERVERS_MAX).flatMap((item: unknown) => parseIceServer(item));
}

function parseIceServer(item: unknown): IceServer[] {
  if (typeof item !== "object" || item === null || !("urls" in item)) return [];
  const listed: unknown[] = Array.isArray(item.urls) ? item.urls : [item.urls];
  const urls = listed.filter(
    (url): url is string => typeof url === "string" && /^(stun|turns?):[^\s]{1,200}$/.test(url),
  );
  if (urls.length === 0) return [];
  const username = "username" in item && typeof item.username === "string" ? item.username : undefined;
  const credential =
    "credential" in item && typeof item.credential === "string" ? item.credential : undefined;
  return [
    {
      urls: urls.slice(0, URLS_MAX),
      ...(username === undefined ? {} : { username }),
      ...(credential === undefined ? {} : { credential }),
    },
  ];
}
