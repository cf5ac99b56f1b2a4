/**
 * ICE servers from the edge's `/v1/ice`, kept for a while, and past that as long as the edge does not answer. Without them WebRTC still works
 * where a direct address does, so a failure is an empty list and not an error.
 */
import { PeerloomError } from "../../shared/errors.ts";
import type { IceServer, Runtime } from "../runtime.ts";
import { backoffMs } from "./backoff.ts";

const FETCH_TIMEOUT_MS = 3_000;
/** Then they are asked for again, while those that are known are used. */
const KEEP_MS = 600_000;
/** TURN credentials live for an hour; STUN asks for none. */
const CREDENTIALS_KEEP_MS = 3_600_000;
/** Pauses after failures: a negotiation that comes meanwhile does not ask. */
const BACKOFF = { firstMs: 2_000, maxMs: 300_000 } as const;
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
  /** The last list that the edge gave. */
  #known:
    | { readonly servers: readonly IceServer[]; readonly atMs: number; readonly back: string }
    | undefined;
  #refreshing: Promise<void> | undefined;
  /** With which the edge was asked last. */
  #askedAs: string | undefined;
  #failures = 0;
  #dueAtMs = 0;

  constructor(runtime: Runtime, edge: string, member?: IceMember) {
    this.#runtime = runtime;
    this.#edge = edge;
    this.#member = member;
  }

  /** Waits for the edge only where nothing is known yet, or what anybody is told and this peer has been let in since. */
  async get(): Promise<readonly IceServer[]> {
    const back = this.#member?.back ?? "";
    const isOther = this.#askedAs !== back;
    if (isOther || this.#runtime.clock.monotonicMs() >= this.#dueAtMs) {
      this.#askedAs = back;
      this.#refreshing = this.#refresh(back);
    }
    if (this.#known === undefined || (isOther && this.#known.back === "")) await this.#refreshing;
    return this.#usable();
  }

  async #refresh(back: string): Promise<void> {
    const { clock, log, random } = this.#runtime;
    // Nobody asks beside this.
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    try {
      const servers = await this.#fetch();
      if (this.#askedAs !== back) return;
      this.#failures = 0;
      const atMs = clock.monotonicMs();
      this.#known = { servers, atMs, back };
      this.#dueAtMs = atMs + KEEP_MS;
    } catch (error) {
      log.debug("no ice servers", { error: String(error) });
      if (this.#askedAs !== back) return;
      this.#dueAtMs = clock.monotonicMs() + backoffMs(this.#failures, random, BACKOFF);
      this.#failures += 1;
    }
  }

  #usable(): readonly IceServer[] {
    if (this.#known === undefined) return [];
    const { servers, atMs } = this.#known;
    if (this.#runtime.clock.monotonicMs() - atMs < CREDENTIALS_KEEP_MS) return servers;
    return servers.filter(({ credential }) => credential === undefined);
  }

  /** @throws whatever kept it from a list */
  async #fetch(): Promise<readonly IceServer[]> {
    const stop = new AbortController();
    const timer = this.#runtime.clock.setTimer(FETCH_TIMEOUT_MS, () => stop.abort());
    try {
      const query = this.#member && `?network=${this.#member.network}&${await this.#member.proof()}`;
      const response = await fetch(new URL(`/v1/ice${query ?? ""}`, this.#edge), { signal: stop.signal });
      const text = await response.text();
      if (!response.ok || text.length > RESPONSE_CHARACTERS_MAX)
        throw new PeerloomError("edge/unreachable", `The edge gave no list: ${response.status}.`);
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
