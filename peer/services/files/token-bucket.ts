/**
 * A rate limit: a bucket of bytes that fills at a steady rate. Whoever comes while there is anything in it may take any amount,
 * and the next waits until the debt is paid; so a chunk larger than the bucket passes, and the mean is kept exactly.
 */
import type { Clock } from "../../runtime.ts";

/** What an idle bucket gathers: this much time of its rate. */
const GATHERED_MS = 100;

export class TokenBucket {
  readonly #clock: Clock;
  #bytesPerMs = Number.POSITIVE_INFINITY;
  #bytes = 0;
  #atMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#atMs = clock.monotonicMs();
  }

  /** @param bytesPerSecond undefined: no limit */
  limit(bytesPerSecond: number | undefined): void {
    this.#fill();
    this.#bytesPerMs = (bytesPerSecond ?? Number.POSITIVE_INFINITY) / 1000;
    this.#bytes = Math.min(this.#bytes, 0);
  }

  get isLimited(): boolean {
    return Number.isFinite(this.#bytesPerMs);
  }

  /** How long until something may be taken, whole milliseconds; 0: now. */
  waitMs(): number {
    if (!this.isLimited) return 0;
    this.#fill();
    // What is left of a byte is rounding.
    return this.#bytes > -1 ? 0 : Math.ceil(-this.#bytes / this.#bytesPerMs);
  }

  take(bytes: number): void {
    if (!this.isLimited) return;
    this.#fill();
    this.#bytes -= bytes;
  }

  #fill(): void {
    const nowMs = this.#clock.monotonicMs();
    const elapsedMs = nowMs - this.#atMs;
    this.#atMs = nowMs;
    if (!this.isLimited) this.#bytes = 0;
    else this.#bytes = Math.min(this.#bytes + elapsedMs * this.#bytesPerMs, GATHERED_MS * this.#bytesPerMs);
  }
}
