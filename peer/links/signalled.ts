/**
 * A link whose frames travel as signals, on the sockets that both sides hold at the edge anyway: the handshake and what is said first need not
 * wait until a relay channel is open. Each signal is billed and sealed twice, so it is a stopgap: after a few frames, or some seconds, it is over,
 * and the session goes on over its other links.
 */
import { concatBytes } from "../../shared/bytes.ts";
import type { Clock, Timer } from "../runtime.ts";
import { BaseLink } from "./base-link.ts";
import { LINK_BUFFER_HIGH_BYTES } from "./link.ts";
import { SIGNALLED_FRAME_BYTES_MAX, SIGNALLED_FRAMES_MAX } from "./signal-codec.ts";

/** A relay channel is open by then, or does not come. */
export const SIGNALLED_MS_MAX = 10_000;
/** Under way at once; bulk waits for a better link. */
const UNACKED_BYTES_MAX: number = 16 * 1024;
/** After so many frames it looks full: what is left is for acknowledgements of as many, and for what a session says about itself. */
const OPEN_FRAMES = 12;

export interface SignalledLinkOptions {
  readonly clock: Clock;
  /** For people. */
  readonly description: string;
  /** Has a frame carried. Resolves when it is on its way. */
  carry(seq: number, frame: Uint8Array): Promise<void>;
  /** Nothing more goes either way. */
  over(): void;
}

export class SignalledLink extends BaseLink {
  readonly #options: SignalledLinkOptions;
  readonly #timer: Timer;
  /** Sealing takes its time, and the order is kept. */
  #sending: Promise<void> = Promise.resolve();
  #sent = 0;
  #bufferedBytes = 0;
  #received = 0;
  /** Came before those that were sent before them. */
  readonly #ahead = new Map<number, Uint8Array>();
  #closing = false;

  constructor(options: SignalledLinkOptions) {
    super({
      kind: "relay",
      description: options.description,
      frameBytesMax: SIGNALLED_FRAME_BYTES_MAX,
      unackedBytesMax: UNACKED_BYTES_MAX,
      isStopgap: true,
    });
    this.#options = options;
    this.#timer = options.clock.setTimer(SIGNALLED_MS_MAX, () => this.destroy());
  }

  get bufferedBytes(): number {
    return this.#sent < OPEN_FRAMES ? this.#bufferedBytes : LINK_BUFFER_HIGH_BYTES;
  }

  send(parts: readonly Uint8Array[]): void {
    if (this.#closing || this.isEnded) return;
    const frame = concatBytes(...parts);
    if (this.#sent === SIGNALLED_FRAMES_MAX || frame.length > SIGNALLED_FRAME_BYTES_MAX) {
      this.destroy();
      return;
    }
    const seq = this.#sent++;
    this.#bufferedBytes += frame.length;
    this.#sending = this.#sending
      .then(() => this.#options.carry(seq, frame))
      .catch(() => this.destroy())
      .finally(() => {
        this.#bufferedBytes -= frame.length;
      });
  }

  /** A frame came from the other side, in whatever order, perhaps twice. */
  receive(seq: number, frame: Uint8Array): void {
    if (seq < this.#received || this.isEnded) return;
    this.#ahead.set(seq, frame);
    for (let next = this.#ahead.get(this.#received); next !== undefined;) {
      this.#ahead.delete(this.#received);
      this.#received += 1;
      this.receiveFrame(next);
      next = this.#ahead.get(this.#received);
    }
  }

  /** What was sent is carried all the same. */
  close(): void {
    this.destroy();
  }

  destroy(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#timer.cancel();
    this.#ahead.clear();
    this.#options.over();
    this.end(undefined);
  }
}
