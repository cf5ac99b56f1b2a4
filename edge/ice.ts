/**
 * ICE servers for WebRTC: STUN from the configuration, TURN from one's own coturn (shared secret, draft-uberti-behave-turn-rest)
 * or from Cloudflare Realtime. The relay channels make TURN optional; it is for those who want UDP all the way. Who gets it: ice-routes.ts.
 */
import { bufferSource, sha256, toHex, utf8 } from "../shared/bytes.ts";
import { PeerloomError } from "../shared/errors.ts";
import type { PeerId } from "../shared/ids.ts";
import { type Env, words } from "./env.ts";

/** As in W3C's RTCIceServer. */
export interface IceServer {
  readonly urls: readonly string[];
  readonly username?: string;
  readonly credential?: string;
}

/**
 * As long as credentials open a TURN server. Peers ask again after ten minutes; Cloudflare ends at it what goes through, and the session moves
 * to another path.
 */
export const TURN_TTL_SECONDS = 3_600;
/** As long as they are handed on, by the isolate and by who got them: a path that begins then still has half an hour. */
export const TURN_KEEP_SECONDS = 900;
/** Of the name by which coturn counts what a peer holds. */
const USER_CHARACTERS = 16;
const CLOUDFLARE_TURN = "https://rtc.live.cloudflare.com/v1/turn/keys";
const FETCH_TIMEOUT_MS = 5_000;
/** After a failure Cloudflare is not asked again for this long. */
const FAILURE_KEEP_MS = 30_000;

export interface IceSurroundings {
  readonly nowMs: number;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
}

/** Whether anything that costs somebody is configured. */
export function hasTurn(env: Env): boolean {
  return coturnOf(env) !== undefined || cloudflareOf(env) !== undefined;
}

/**
 * Never fails: what cannot be had is left out.
 * @param member who may have TURN; without one there is none
 */
export async function iceServers(
  env: Env,
  surroundings: IceSurroundings,
  member?: PeerId,
): Promise<readonly IceServer[]> {
  const stun = words(env.STUN_URLS);
  const free = stun.length > 0 ? [{ urls: stun }] : [];
  if (member === undefined) return free;
  return [
    ...free,
    ...(await coturnServers(env, surroundings.nowMs, member)),
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

/** coturn counts by what follows the expiry: each member has its `user-quota`, and no server's log holds its id. */
async function coturnServers(env: Env, nowMs: number, member: PeerId): Promise<readonly IceServer[]> {
  const coturn = coturnOf(env);
  if (coturn === undefined) return [];
  const user = toHex(await sha256(utf8(`peerloom/turn/1\n${member}`))).slice(0, USER_CHARACTERS);
  const expiresSeconds = Math.floor(nowMs / 1000) + TURN_TTL_SECONDS;
  return [{ urls: coturn.urls, ...(await coturnCredentials(coturn.secret, user, expiresSeconds)) }];
}

function coturnOf(env: Env): { readonly urls: readonly string[]; readonly secret: string } | undefined {
  const [urls, secret] = [words(env.TURN_URLS), env.TURN_SECRET ?? ""];
  return urls.length === 0 || secret === "" ? undefined : { urls, secret };
}

function cloudflareOf(env: Env): { readonly key: string; readonly token: string } | undefined {
  const [key, token] = [env.TURN_KEY_ID ?? "", env.TURN_KEY_API_TOKEN ?? ""];
  return key === "" || token === "" ? undefined : { key, token };
}

/** One answer an isolate, for all: Cloudflare limits how often credentials are made. */
let kept:
  | { readonly key: string; readonly servers: Promise<readonly IceServer[]>; untilMs: number }
  | undefined;

async function cloudflareServers(env: Env, { nowMs, fetch }: IceSurroundings): Promise<readonly IceServer[]> {
  const cloudflare = cloudflareOf(env);
  if (cloudflare === undefined) return [];
  const { key, token } = cloudflare;
  if (kept === undefined || kept.key !== key || kept.untilMs <= nowMs) {
    const servers = mintCloudflare(key, token, fetch);
    const entry = { key, servers, untilMs: nowMs + TURN_KEEP_SECONDS * 1000 };
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
