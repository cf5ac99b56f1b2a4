/**
 * A link before it belongs to a session: frames are waited for one by one, and what comes behind is kept until somebody
 * takes the link over.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { type Frame, parseFrame } from "../../shared/frame.ts";
import { type Link, LINK_EARLY_FRAMES_MAX } from "../links/link.ts";
import type { Clock } from "../runtime.ts";

/** A handshake or an attachment is over by then. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

export class FirstFrames {
  readonly link: Link;
  readonly #frames: Uint8Array[] = [];
  #closed: PeerloomError | undefined;
  #wake: (() => void) | undefined;

  constructor(link: Link) {
    this.link = link;
    link.onFrame = (frame) => {
      if (this.#frames.length === LINK_EARLY_FRAMES_MAX) {
        link.destroy();
        this.#close(new PeerloomError("wire/malformed", "Too many frames before the handshake was over."));
        return;
      }
      this.#frames.push(frame.slice());
      this.#wake?.();
    };
    link.onClose = (error) => {
      this.#close(error ?? new PeerloomError("link/closed", "The link was closed during the handshake."));
    };
  }

  /**
   * The next frame, a copy.
   * @throws PeerloomError `link/timeout`, `link/closed`, or why the link failed; `wire/malformed`, `wire/too-large`; the signal's reason when aborted
   */
  async next(clock: Clock, signal: AbortSignal): Promise<Frame> {
    signal.throwIfAborted();
    if (this.#frames.length === 0 && this.#closed === undefined) {
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      await clock.sleep(HANDSHAKE_TIMEOUT_MS, AbortSignal.any([signal, woken.signal])).catch(() => {});
      this.#wake = undefined;
    }
    const frame = this.#frames.shift();
    if (frame !== undefined) return parseFrame(frame);
    signal.throwIfAborted();
    throw (
      this.#closed ??
      new PeerloomError("link/timeout", "The other side did not answer the handshake in time.")
    );
  }

  /** Gives what came meanwhile to the link's new handlers. Call it right after they were set. */
  handOver(): void {
    for (const frame of this.#frames.splice(0)) this.link.onFrame(frame);
    if (this.#closed !== undefined) this.link.onClose(this.#closed);
  }

  #close(error: PeerloomError): void {
    this.#closed ??= error;
    this.#wake?.();
  }
}
