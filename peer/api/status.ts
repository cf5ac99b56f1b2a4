/** What a peer says of itself: plain data, for the command line, pages and logs. */
import type { PeerId } from "../../shared/ids.ts";
import type { LinkKind, PathKind } from "../links/link.ts";
import type { PortMappingState } from "../overlay/port-mapping.ts";
import type { TopicStatus } from "../services/topics/topic-options.ts";
import type { Session } from "../session/contract.ts";

export interface PeerStatus {
  readonly id: PeerId;
  readonly edge: string | null;
  readonly network: string;
  readonly peers: readonly SessionStatus[];
  readonly listen: readonly string[];
  /** What came of asking the gateway to map the listening port; null where it is not asked. */
  readonly mapping: PortMappingState | null;
  readonly shares: readonly ShareStatus[];
  /** Those that are open. */
  readonly topics: readonly TopicStatus[];
  /** Null where it is turned off, and in a page that has not loaded it yet. */
  readonly overlay: OverlayStatus | null;
  readonly records: RecordsStatus;
}

export interface OverlayStatus {
  /** Peers that this one is a neighbour of. */
  readonly links: number;
  /** Of them over a relay of the edge, for want of direct ones. */
  readonly relayed: number;
  /** Enough of them to find everybody, and to be found. */
  readonly ready: boolean;
  /** Messages that went no further: malformed, forged, replayed, expired, looping, too many. */
  readonly dropped: number;
}

export interface RecordsStatus {
  /** Kept for others. */
  readonly kept: number;
  /** Forged, expired, misplaced or too many. */
  readonly refused: number;
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

export function overlayStatus(
  overlay:
    | {
        readonly size: number;
        readonly relayedSize: number;
        readonly isReady: boolean;
        readonly dropped: number;
      }
    | undefined,
): OverlayStatus | null {
  if (overlay === undefined) return null;
  return {
    links: overlay.size,
    relayed: overlay.relayedSize,
    ready: overlay.isReady,
    dropped: overlay.dropped,
  };
}
