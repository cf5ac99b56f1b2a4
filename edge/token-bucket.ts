/**
 * How many messages a socket may send. Kept in memory only: an object forgets it by sleeping, which takes at least ten seconds
 * without a message, and by then the bucket would be full again.
 */
export class TokenBucket {
  readonly #burst: number;
  readonly #perSecond: number;
  #tokens: number;
  #filledMs: number;

  /** @param tokens what is in it, where that was kept over a sleep */
  constructor(burst: number, perSecond: number, nowMs: number, tokens: number = burst) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#tokens = tokens;
    this.#filledMs = nowMs;
  }

  /** What was left when it was last taken from. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Something else than time fills it too. */
  add(count: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + count);
  }

  /** False, and nothing is taken, when there is less in it. */
  take(nowMs: number, count = 1): boolean {
    const earned = (Math.max(0, nowMs - this.#filledMs) / 1000) * this.#perSecond;
    this.#tokens = Math.min(this.#burst, this.#tokens + earned);
    this.#filledMs = nowMs;
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }
}
