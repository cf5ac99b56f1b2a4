/**
 * The contract of a link: one live transport path that carries whole frames, in order and reliably while it lives.
 * A link knows nothing of identities or encryption: the session above authenticates the far end with its first frame
 * and seals every later one. All kinds but the stopgap pass the same suite, `test/contract/link.ts`.
 */
import type { PeerloomError } from "../../shared/errors.ts";

/** How the bytes travel. `overlay` means forwarded by other peers. */
export type LinkKind = "tcp" | "webrtc" | "websocket" | "relay" | "overlay";

/** What people and tickets are told: straight, through the edge, or through other peers. */
export type PathKind = "direct" | "relay" | "overlay";

export function pathKindOf(kind: LinkKind): PathKind {
  return kind === "relay" || kind === "overlay" ? kind : "direct";
}

export interface Link {
  readonly kind: LinkKind;
  /** For people: an address, or how the link came about. */
  readonly description: string;
  /** It carries a few frames until a link like it stands: whatever else there is goes first. */
  readonly isStopgap?: boolean;
  /** A TURN server (RFC 8656) passes it on: nobody's edge, and yet somebody's bill. */
  readonly isTurned?: boolean;
  /** IP address of the far end as the network shows it; undefined where something is in between or the host does not tell. */
  readonly remoteHost?: string | undefined;
  /** The longest frame, bytes; at most `FRAME_BYTES_MAX`. */
  readonly frameBytesMax: number;
  /** Bytes the session may have unacknowledged on this link, whatever its rate. A relay sets it low. */
  readonly unackedBytesMax: number;
  /**
   * Differs between the honest ends' view and a meddler's: a digest of both DTLS fingerprints on `webrtc`, empty elsewhere.
   * Both ends of one link hold the same bytes.
   */
  readonly binding: Uint8Array;
  /** Bytes accepted and not yet given to the network. */
  readonly bufferedBytes: number;
  /** Data waits for `onDrain` though little is buffered: the path takes no more messages now. Control goes all the same. */
  readonly isHeld?: boolean;
  /**
   * Sends the pieces as one frame. Never blocks and never throws; after `close` it does nothing. The memory is copied and
   * may be used again. The session keeps `bufferedBytes` low by waiting for `onDrain`.
   */
  send(parts: readonly Uint8Array[]): void;
  /** Gives what was sent to the network if it can, then closes. Twice is harmless. */
  close(): void;
  /**
   * Closes at once and drops what is unsent: for a path that has gone silent. The far end is told if the network lets it be;
   * above UDP the one packet that says so may get lost under load, and only silence tells (WebRTC: 30 s, RFC 7675).
   */
  destroy(): void;
  /**
   * A whole frame; the memory is valid during the call only. Frames that come before a handler is set are kept (a few).
   * The handler may be exchanged at any time.
   */
  onFrame: (frame: Uint8Array) => void;
  /** `bufferedBytes` has become small after having been large (256 KiB), or the link is held no longer. */
  onDrain: () => void;
  /** Called once: undefined after an orderly end, else why (`link/failed`, `link/frame-too-large`, `edge/…`). */
  onClose: (error: PeerloomError | undefined) => void;
}

/** `bufferedBytes` above which a link's user should wait for `onDrain`. */
export const LINK_BUFFER_HIGH_BYTES: number = 1024 * 1024;
/** `bufferedBytes` at or below which `onDrain` is called. */
export const LINK_BUFFER_LOW_BYTES: number = 256 * 1024;
/** Frames a link keeps while nobody listens; the handshake's first and one behind it. Past that it closes. */
export const LINK_EARLY_FRAMES_MAX = 16;
