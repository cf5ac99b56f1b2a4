/** What a diagnosis says: one check after the other, then the verdict. */
import { PeerloomError } from "../../../shared/errors.ts";
import type { IceFailure } from "../../links/candidates.ts";

/** One thing that was looked at. */
export interface Check {
  readonly kind: "check";
  readonly name: string;
  /** Null: it could not be found out. */
  readonly ok: boolean | null;
  readonly detail: string;
}

/**
 * The one cause that is worth acting on first. `ok`: nothing is wrong. `no-edge`: none was named, so nothing can be said of it.
 * `network-refuses`: the private network does not let this peer in. `path-pending`: the other peer is reached through a relay, and no direct path has failed yet. Every `IceFailure` is one too.
 */
export type VerdictCode =
  | "ok"
  | "no-edge"
  | "edge-unreachable"
  | "websocket-blocked"
  | "edge-refuses"
  | "clock-wrong"
  | "webrtc-unavailable"
  | "relay-unavailable"
  | "network-refuses"
  | "peer-gone"
  | "peer-silent"
  | "peer-unreachable"
  | "path-pending"
  | IceFailure;

export interface Verdict {
  readonly kind: "verdict";
  readonly code: VerdictCode;
  /** What to do. */
  readonly advice: string;
}

export type Finding = Check | Verdict;

export function check(name: string, ok: boolean | null, detail: string): Check {
  return { kind: "check", name, ok, detail };
}

/** What is wrong, in a few words. */
export function reasonOf(error: unknown): string {
  if (error instanceof PeerloomError) return `${error.message} (${error.code})`;
  if (!(error instanceof Error)) return String(error);
  // fetch says "fetch failed" and keeps the reason behind it.
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
