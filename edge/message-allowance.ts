/**
 * How many messages one side of a relay channel may send. An honest side keeps to half by itself (limits.ts). One that does not, because it is older, is held before
 * it is cut: it is told a pace in bytes, which it understands, at which its small frames are no more than may come.
 */
import { RELAY_BYTES_A_MESSAGE, RELAY_MESSAGES_BURST, RELAY_MESSAGES_PER_SECOND } from "../shared/limits.ts";
import { TokenBucket } from "./token-bucket.ts";

/** A side with less than this is held: what was under way, and what a pace lets go at once, fits into it. */
const HELD_BELOW = 1_500;
/** One that has rested is not. */
const RESTED_FROM = 3_000;

export class MessageAllowance {
  readonly #bucket: TokenBucket;
  #isHeld: boolean;

  constructor(nowMs: number, isHeld: boolean) {
    this.#bucket = new TokenBucket(RELAY_MESSAGES_BURST, RELAY_MESSAGES_PER_SECOND, nowMs);
    this.#isHeld = isHeld;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Bytes have passed the channel. */
  earn(bytes: number): void {
    this.#bucket.add(bytes / RELAY_BYTES_A_MESSAGE);
  }

  /** False when the message is one too many. */
  take(nowMs: number): boolean {
    if (!this.#bucket.take(nowMs)) return false;
    this.#isHeld = this.#bucket.tokens < (this.#isHeld ? RESTED_FROM : HELD_BELOW);
    return true;
  }
}
