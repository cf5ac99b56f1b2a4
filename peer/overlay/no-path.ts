/** What is said where no way leads to a peer: from how every one has failed to the one error that says most of it. */
import { type ErrorCode, PeerloomError } from "../../shared/errors.ts";
import { type PeerId, short } from "../../shared/ids.ts";

export interface Failure {
  /** For people. */
  readonly way: string;
  /** A link stood, and no session came of it. */
  readonly isLinked: boolean;
  readonly reason: PeerloomError;
}

/** Said by the other side, whatever the way: no other one would help. */
const PUT_OUT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "network/not-member",
  "network/invite-used",
  "network/expired",
  "network/banned",
]);

/** Whether it says that this peer is not, or no longer, of the network. */
export function putsOut({ code }: PeerloomError): boolean {
  return PUT_OUT.has(code);
}

/**
 * @returns why the other side, or its network, refuses; else `peer/not-found`; else `connect/timeout` where a link stood and nobody answered on
 * it, as when the other process stands still; else `connect/no-path`
 */
export function whyNoPath(peerId: PeerId, failures: readonly Failure[]): PeerloomError {
  const reasons = failures.map(({ reason }) => reason);
  const said = reasons.find(putsOut) ?? reasons.find(({ code }) => code === "peer/not-found");
  if (said !== undefined) return said;
  const tried = failures.map(({ way, reason }) => `${way}: ${reason.message} (${reason.code})`).join("; ");
  const cause = new AggregateError(reasons);
  if (failures.some(({ isLinked, reason }) => isLinked && reason.code === "link/timeout"))
    return new PeerloomError("connect/timeout", `${short(peerId)} does not answer: ${tried}.`, { cause });
  const why = tried === "" ? "there is no edge and no known address" : tried;
  return new PeerloomError("connect/no-path", `No path to ${short(peerId)}: ${why}.`, { cause });
}

/** Nobody who could be asked knows it. */
export function unknownToPeers(peerId: PeerId): PeerloomError {
  return new PeerloomError(
    "peer/not-found",
    `No peer that can be asked knows ${short(peerId)}. Is it running, in this network?`,
  );
}
