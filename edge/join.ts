/** Is this join what its sender says? Pure but for the signature check; the rendezvous acts on the answer. */
import { type ErrorCode, PeerloomError } from "../shared/errors.ts";
import { type NetworkName, publicKeyOf } from "../shared/ids.ts";
import { CLOCK_SKEW_MS_MAX, JOIN_TIMEOUT_MS, WIRE_VERSION, WIRE_VERSION_OLDEST } from "../shared/limits.ts";
import { joinClaim, type ToRendezvous } from "../shared/messages.ts";
import { commonVersion, VERSION_QUERY } from "../shared/wire-version.ts";
import { verifySignature } from "./verify.ts";

export type JoinMessage = Extract<ToRendezvous, { readonly kind: "join" }>;

/** What the socket was greeted with. */
export interface Greeting {
  readonly nonce: Uint8Array;
  readonly atMs: number;
  readonly network: NetworkName;
  readonly origins: readonly string[];
}

export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  /** Its signature fits nothing, so it is not the peer it says it is, or this edge is not the one it means. */
  readonly isForged?: true;
}

/** Undefined when the join is good. */
export async function refusalOfJoin(
  join: JoinMessage,
  greeting: Greeting,
  nowMs: number,
): Promise<Refusal | undefined> {
  const mismatch = refusalOfVersion(join.version);
  if (mismatch !== undefined) return mismatch;
  if (nowMs - greeting.atMs > JOIN_TIMEOUT_MS) {
    return failed(`The challenge is older than ${JOIN_TIMEOUT_MS / 1000} s. Connect again.`);
  }
  if (Math.abs(nowMs - join.timeMs) > CLOCK_SKEW_MS_MAX) {
    return failed(
      `This peer's clock differs by ${Math.round((join.timeMs - nowMs) / 1000)} s from the edge's. Set the clock.`,
    );
  }
  for (const origin of greeting.origins) {
    if (await isSigned(join, greeting, origin)) return undefined;
  }
  const origins = greeting.origins.join(" or ");
  return {
    ...failed(`The signature does not fit the id, the challenge, the network and the origin ${origins}.`),
    isForged: true,
  };
}

/**
 * What the challenge says: the newest version of both, or our own to a peer that is too old, which then sees by itself. Peers of
 * version 1 do not say what they speak.
 */
export function challengeVersion(request: Request): number {
  const stated = Number(new URL(request.url).searchParams.get(VERSION_QUERY) ?? 1);
  return stated >= WIRE_VERSION_OLDEST && stated < WIRE_VERSION ? Math.trunc(stated) : WIRE_VERSION;
}

function refusalOfVersion(version: number): Refusal | undefined {
  try {
    commonVersion({ oldest: version, newest: version }, "peer");
    return undefined;
  } catch (error) {
    if (error instanceof PeerloomError) return { code: error.code, message: error.message };
    throw error;
  }
}

function isSigned(join: JoinMessage, { nonce, network }: Greeting, origin: string): Promise<boolean> {
  const claim = joinClaim({ nonce, origin, network, timeMs: join.timeMs });
  return verifySignature(publicKeyOf(join.id), claim, join.signature);
}

function failed(message: string): Refusal {
  return { code: "edge/challenge-failed", message };
}
