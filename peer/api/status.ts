/** What a peer says of itself: plain data, for the command line, pages and logs. */
import type { PeerId } from "../../shared/ids.ts";
import type { LinkKind, PathKind } from "../links/link.ts";
import type { Session } from "../session/contract.ts";

export interface PeerStatus {
  readonly id: PeerId;
  readonly edge: string | null;
  readonly network: string;
  readonly peers: readonly SessionStatus[];
  readonly listen: readonly string[];
  readonly shares: readonly ShareStatus[];
}

export interface SessionStatus {
  readonly id: PeerId;
  readonly path: PathKind | "none";
  readonly transport: LinkKind | "none";
  /** Why the path is that one. */
  readonly why: string;
  /** Smoothed round trip, ms; null before the first measurement. */
  readonly rttMs: number | null;
}

export interface ShareStatus {
  readonly name: string;
  readonly bytes: number;
  readonly hash: string;
}

export function sessionStatus({ peerId, path }: Session): SessionStatus {
  const rttMs = path.rttMs === undefined ? null : Math.round(path.rttMs * 1000) / 1000;
  return { id: peerId, path: path.kind, transport: path.transport, why: path.why, rttMs };
}
