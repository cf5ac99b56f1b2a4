/**
 * What services see of a session: a peer that was proved, and streams to it. How links come and go below stays below.
 */
import type { ErrorCode } from "../../shared/errors.ts";
import type { PeerId } from "../../shared/ids.ts";
import type { LinkKind, PathKind } from "../links/link.ts";

/** The path that carries the session now, and why it is that one. */
export interface PathInfo {
  readonly kind: PathKind | "none";
  readonly transport: LinkKind | "none";
  /** `direct`, `turn` (past the edge, and through a TURN server), or why it is not: `direct-pending`, `only-relay`, `webrtc-unavailable`, an `IceFailure` (`udp-blocked`, `symmetric-nat`, …), `lost` */
  readonly why: string;
  /** Smoothed round trip of this path; undefined before the first measurement. */
  readonly rttMs: number | undefined;
  readonly description: string;
}

/** Payload bytes received, by how they came. */
export interface BytesByPath {
  readonly direct: number;
  readonly relay: number;
  readonly overlay: number;
}

/** Bulk waits for normal, normal for interactive, so that a large transfer does not starve a ping. */
export type StreamPriority = "interactive" | "normal" | "bulk";

export interface OpenOptions {
  readonly signal?: AbortSignal;
  /** @default "normal" */
  readonly priority?: StreamPriority;
}

/** An ordered, reliable, flow-controlled byte channel. */
export interface Stream {
  readonly id: number;
  readonly protocol: string;
  /**
   * Ends after the other side's writable was closed; errors with `stream/reset` or the session's error. A byte stream: bulk is
   * read fastest into one's own memory, `readable.getReader({ mode: "byob" })`, which leaves nothing to the garbage collector.
   */
  readonly readable: ReadableStream<Uint8Array>;
  /** Writing waits while the other side does not read. Chunks are taken before the write's promise resolves. */
  readonly writable: WritableStream<Uint8Array>;
  /** Resolves when all that was taken until now is on its way to the other side, or never will be: for whoever chooses late what to send next. */
  departed(): Promise<void>;
  /** Ends both directions at once; the other side sees `code`. Twice is harmless. */
  reset(code?: ErrorCode): void;
  /** Resolves when both directions have ended, however they did. */
  readonly closed: Promise<void>;
}

export interface SessionEvents {
  readonly path: CustomEvent<PathInfo>;
  /** For a minute there was no path: it may come back, and whoever has others to turn to should. */
  readonly away: Event;
  /** The session has ended for good; `detail` says why. */
  readonly close: CustomEvent<ErrorCode>;
}

/** The authenticated, encrypted relation to another peer. It outlives each of its links. */
export interface Session extends EventTarget {
  readonly peerId: PeerId;
  readonly path: PathInfo;
  readonly bytesReceived: BytesByPath;
  readonly closed: boolean;
  /**
   * Opens a stream; costs no round trip. An unknown protocol resets it with `stream/no-handler`.
   * @throws PeerloomError `session/closed`, `session/too-many-streams`, `aborted`
   */
  open(protocol: string, options?: OpenOptions): Promise<Stream>;
  /** Ends every stream, tells the other side, closes the links. Twice is harmless. */
  close(code?: ErrorCode): Promise<void>;
}

/** Called for each stream the other side opens; a rejection resets the stream. */
export type StreamHandler = (stream: Stream, session: Session) => Promise<void> | void;
