/**
 * ICE servers for WebRTC: STUN from the configuration, TURN from one's own coturn (shared secret, draft-uberti-behave-turn-rest)
 * or from Cloudflare Realtime. The relay channels make TURN optional; it is for those who want UDP all the way.
 */
import { bufferSource, utf8 } from "../shared/bytes.ts";
import { PeerloomError } from "../shared/errors.ts";
import { type Env, words } from "./env.ts";

/** As in W3C's RTCIceServer. */
export interface IceServer {
  readonly urls: readonly string[];
  readonly username?: string;
  readonly credential?: string;
}

/** Credentials live for a day; peers fetch them again long before. */
export const TURN_TTL_SECONDS = 86_400;
const CLOUDFLARE_TURN = "https://rtc.live.cloudflare.com/v1/turn/keys";
const FETCH_TIMEOUT_MS = 5_000;
/** After a failure Cloudflare is not asked again for this long. */
const FAILURE_KEEP_MS = 30_000;

export interface IceSurroundings {
  readonly nowMs: number;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
}

/** Never fails: what cannot be had is left out. */
export async function iceServers(env: Env, surroundings: IceSurroundings): Promise<readonly IceServer[]> {
  const stun = words(env.STUN_URLS);
  return [
    ...(stun.length > 0 ? [{ urls: stun }] : []),
    ...(await coturnServers(env, surroundings.nowMs)),
    ...(await cloudflareServers(env, surroundings)),
  ];
}

/**
 * coturn's `use-auth-secret`: the user name is its own expiry, the password its HMAC.
 * @example
 * const { username, credential } = await coturnCredentials("north", "peerloom", 1_433_895_918);
 */
export async function coturnCredentials(
  secret: string,
  user: string,
  expiresSeconds: number,
): Promise<{ readonly username: string; readonly credential: string }> {
  const username = `${expiresSeconds}:${user}`;
  const algorithm = { name: "HMAC", hash: "SHA-1" };
  const key = await crypto.subtle.importKey("raw", bufferSource(utf8(secret)), algorithm, false, ["sign"]);
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, bufferSource(utf8(username))));
  return { username, credential: btoa(String.fromCharCode(...mac)) };
}

async function coturnServers(env: Env, nowMs: number): Promise<readonly IceServer[]> {
  const urls = words(env.TURN_URLS);
  const secret = env.TURN_SECRET ?? "";
  if (urls.length === 0 || secret === "") return [];
  const expiresSeconds = Math.floor(nowMs / 1000) + TURN_TTL_SECONDS;
  return [{ urls, ...(await coturnCredentials(secret, "peerloom", expiresSeconds)) }];
}

/** One answer an isolate, used for half its life: Cloudflare limits how often credentials are made. */
let kept:
  | { readonly key: string; readonly servers: Promise<readonly IceServer[]>; untilMs: number }
  | undefined;

async function cloudflareServers(env: Env, { nowMs, fetch }: IceSurroundings): Promise<readonly IceServer[]> {
  const key = env.TURN_KEY_ID ?? "";
  const token = env.TURN_KEY_API_TOKEN ?? "";
  if (key === "" || token === "") return [];
  if (kept === undefined || kept.key !== key || kept.untilMs <= nowMs) {
    const servers = mintCloudflare(key, token, fetch);
    const entry = { key, servers, untilMs: nowMs + (TURN_TTL_SECONDS * 1000) / 2 };
    kept = entry;
    servers.catch(() => {
      entry.untilMs = nowMs + FAILURE_KEEP_MS;
    });
  }
  return kept.servers.catch(() => []);
}

async function mintCloudflare(
  key: string,
  token: string,
  fetch: IceSurroundings["fetch"],
): Promise<readonly IceServer[]> {
  const response = await fetch(
    `${CLOUDFLARE_TURN}/${encodeURIComponent(key)}/credentials/generate-ice-servers`,
    {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ ttl: TURN_TTL_SECONDS }),
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    },
  );
  if (!response.ok)
    throw new PeerloomError(
      "edge/unreachable",
      `Cloudflare Realtime answered ${response.status}: check TURN_KEY_ID and TURN_KEY_API_TOKEN.`,
    );
  const { iceServers } = (await response.json()) as { readonly iceServers: readonly IceServer[] };
  return iceServers
    .map((server) => ({ ...server, urls: server.urls.filter((url) => !isOnPort53(url)) }))
    .filter((server) => server.urls.length > 0);
}

/** Browsers refuse port 53, and waiting for it delays the rest. */
function isOnPort53(url: string): boolean {
  return /:53(\?|$)/.test(url);
}
