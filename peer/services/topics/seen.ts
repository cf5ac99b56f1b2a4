/**
 * Ids that were seen: two sets, of which the older is forgotten when the younger is old or full. Nobody is remembered for ever, so time bounds what
 * may come: a message is fresh for `FRESH_MS`, and its id is remembered for longer than that.
 */
import type { MessageId } from "./envelope.ts";

/** A publisher's clock may be so far from ours; past that its messages are stale, or not yet. */
export const FRESH_MS: number = 5 * 60_000;
/** A message may be fresh for twice as long: stamped ahead by as much, and late. */
export const SEEN_MS: number = 2 * FRESH_MS;
/** Of one set: about 2 MiB. Full before its time, the older one goes early, and with it goes what is no younger. */
export const SEEN_MAX = 32_768;

export class Seen {
  #young = new Set<MessageId>();
  #old = new Set<MessageId>();
  #turnedAtMs: number;
  /** Latest time of a message in each set, as it counts for freshness. */
  #youngLatestMs = 0;
  #oldLatestMs = 0;
  #floorMs = 0;
  /** Sets that were forgotten before their time. */
  overflows = 0;

  constructor(nowMs: number) {
    this.#turnedAtMs = nowMs;
  }

  has(id: MessageId): boolean {
    return this.#young.has(id) || this.#old.has(id);
  }

  /**
   * @param timeMs when it was published, wall clock
   * @param wallMs now, wall clock
   * @param nowMs now, monotonic
   */
  add(id: MessageId, timeMs: number, wallMs: number, nowMs: number): void {
    const isFull = this.#young.size >= SEEN_MAX;
    if (isFull || nowMs - this.#turnedAtMs >= SEEN_MS) {
      if (isFull && nowMs - this.#turnedAtMs < SEEN_MS && this.#old.size > 0) {
        this.overflows += 1;
        this.#floorMs = Math.max(this.#floorMs, this.#oldLatestMs);
      }
      this.#old = this.#young;
      this.#oldLatestMs = this.#youngLatestMs;
      this.#young = new Set();
      this.#youngLatestMs = 0;
      this.#turnedAtMs = nowMs;
    }
    this.#young.add(id);
    this.#youngLatestMs = Math.max(this.#youngLatestMs, Math.min(timeMs, wallMs));
  }

  /** Whether a message of that time could not have been forgotten: it is no replay, unless it was seen. */
  isFresh(timeMs: number, wallMs: number): boolean {
    return Math.abs(timeMs - wallMs) <= FRESH_MS && timeMs > this.#floorMs;
  }
}
