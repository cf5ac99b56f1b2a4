/**
 * The ban list of a network as the Worker and relay channels know it: asked of the network's first rendezvous object, and kept in the isolate
 * for a few seconds, so that a flood of requests is one request to an object. A ban therefore takes that long to reach every isolate; in the
 * rendezvous itself it holds at once.
 */
import { type Credential, refusalOf } from "../shared/credential.ts";
import type { ErrorCode } from "../shared/errors.ts";
import { type NetworkName, networkKindOf, type PeerId } from "../shared/ids.ts";
import type { Env } from "./env.ts";
import { rendezvousName } from "./shards.ts";

/** How old an answer may be. */
export const BANS_KEPT_MS = 5_000;
/** Networks whose lists are kept; past that the oldest is asked again. */
const NETWORKS_MAX = 64;

interface Kept {
  readonly atMs: number;
  readonly keys: Promise<ReadonlySet<PeerId>>;
}

const kept = new Map<NetworkName, Kept>();

/** Keys that the network's owner has banned. */
function bansOf(env: Env, network: NetworkName): Promise<ReadonlySet<PeerId>> {
  if (networkKindOf(network) !== "invite") return Promise.resolve(new Set());
  const nowMs = Date.now();
  const known = kept.get(network);
  if (known !== undefined && nowMs - known.atMs < BANS_KEPT_MS) return known.keys;
  const keys = ask(env, network);
  kept.delete(network);
  kept.set(network, { atMs: nowMs, keys });
  if (kept.size > NETWORKS_MAX) kept.delete(kept.keys().next().value as NetworkName);
  keys.catch(() => kept.delete(network)); // the next request asks again
  return keys;
}

/** Why a membership is not good now, or undefined. What has ended is refused without asking anybody. */
export async function refusalNow(
  env: Env,
  network: NetworkName,
  membership: Pick<Credential, "expiresMs" | "keys">,
): Promise<ErrorCode | undefined> {
  const nowMs = Date.now();
  if (membership.expiresMs <= nowMs) return "network/expired";
  const bans = await bansOf(env, network);
  return refusalOf(membership, nowMs, (key) => bans.has(key));
}

/** A new list has come: this isolate knows it at once. */
export function forgetBans(network: NetworkName): void {
  kept.delete(network);
}

async function ask(env: Env, network: NetworkName): Promise<ReadonlySet<PeerId>> {
  return new Set(await env.RENDEZVOUS.getByName(rendezvousName(network, 0)).bannedKeys(network));
}
