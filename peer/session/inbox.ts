/**
 * The receiving half of a session: opens sealed frames, drops what came before, puts the rest in order and says how far
 * it has got. Two paths may deliver at once, and hosts may open in the background, so order is made here and nowhere else.
 */
import type { SealedFrame } from "../../shared/frame.ts";
import type { AeadKey } from "../runtime.ts";
import { OUTBOX_BYTES_MAX } from "./outbox.ts";
import { nonceOf } from "./seal.ts";

/** Frames ahead of the next one that are kept; an honest sender has fewer under way. */
const AHEAD_FRAMES_MAX = 65_536;
/** Bytes ahead that are kept; one frame more than an honest sender has under way. */
const AHEAD_BYTES_MAX: number = OUTBOX_BYTES_MAX + 512 * 1024;

export type Received =
  | "accepted"
  /** Seen before: the other side lacks our acknowledgement. */
  | "repeated"
  /** Farther ahead than an honest sender can be. */
  | "refused"
  /** Not sealed by the other side. */
  | "forged";

export interface InboxOptions {
  readonly key: AeadKey;
  /** Called in order, exactly once each. May throw: then nothing more is delivered. */
  deliver(plaintext: Uint8Array): void;
}

export class Inbox {
  readonly #options: InboxOptions;
  /** Opened, waiting for an earlier one; undefined while being opened. */
  readonly #ahead = new Map<number, Uint8Array | undefined>();
  #aheadBytes = 0;
  #next = 0;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /** Every frame below has been delivered. */
  get next(): number {
    return this.#next;
  }

  /**
   * Takes one data frame; its memory is not kept.
   * @throws whatever `deliver` throws
   */
  receive(frame: SealedFrame): Received | Promise<Received> {
    const { counter: seq } = frame;
    if (seq < this.#next || this.#ahead.has(seq)) return "repeated";
    const bytes = frame.sealed.length;
    if (seq > this.#next + AHEAD_FRAMES_MAX || this.#aheadBytes + bytes > AHEAD_BYTES_MAX) return "refused";
    const opened = this.#options.key.open(nonceOf(seq), frame.header, frame.sealed);
    if (!(opened instanceof Promise)) return this.#opened(seq, opened);
    // A copy on another path meanwhile is a repetition; a forgery frees the place again.
    this.#ahead.set(seq, undefined);
    this.#aheadBytes += bytes;
    return opened.then((plaintext) => {
      this.#ahead.delete(seq);
      this.#aheadBytes -= bytes;
      return this.#opened(seq, plaintext);
    });
  }

  /** Something came that waits for what is missing before it. */
  get hasGap(): boolean {
    return this.#ahead.size > 0;
  }

  /** Bytes that wait for what is missing before them. */
  get aheadBytes(): number {
    return this.#aheadBytes;
  }

  clear(): void {
    this.#ahead.clear();
    this.#aheadBytes = 0;
  }

  #opened(seq: number, plaintext: Uint8Array | undefined): Received {
    if (plaintext === undefined) return "forged";
    if (seq !== this.#next) {
      this.#ahead.set(seq, plaintext);
      this.#aheadBytes += plaintext.length;
      return "accepted";
    }
    this.#next += 1;
    this.#options.deliver(plaintext);
    for (
      let following = this.#ahead.get(this.#next);
      following !== undefined;
      following = this.#ahead.get(this.#next)
    ) {
      this.#ahead.delete(this.#next);
      this.#aheadBytes -= following.length;
      this.#next += 1;
      this.#options.deliver(following);
    }
    return "accepted";
  }
}
