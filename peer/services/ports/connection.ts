/** One TCP connection carried by a stream: either half ends by itself, a failure of either ends both with a reset. */
import type { ErrorCode } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { PlainSocket } from "../../runtime.ts";
import type { Stream } from "../../session/contract.ts";

/** Of one exposure or one forward; past that `ports/busy`. A session has 256 streams. */
export const CONNECTIONS_MAX = 128;

/** What the events `connection` (it stands) and `end` (it is over, or never stood) tell. */
export interface PortConnection {
  /** Counts up from 1. */
  readonly number: number;
  /** The other peer. */
  readonly peerId: PeerId;
  /** Why it failed; undefined as long as it stands, and when both halves ended in order. */
  readonly code: ErrorCode | undefined;
}

/** Resolves when both halves have ended. @throws what ended it before */
export async function carry(stream: Stream, socket: PlainSocket): Promise<void> {
  const halves = [stream.readable.pipeTo(socket.writable), socket.readable.pipeTo(stream.writable)];
  try {
    await Promise.all(halves);
  } catch (error) {
    stream.reset();
    socket.reset();
    await Promise.allSettled(halves);
    throw error;
  }
}
