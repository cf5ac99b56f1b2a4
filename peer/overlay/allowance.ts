/** So many at once, and so many a second for ever: what a neighbour, or chance, may make this peer do. */
export class Allowance {
  readonly #max: number;
  readonly #perSecond: number;
  #left: number;
  #filledMs: number;

  constructor(max: number, perSecond: number, nowMs: number) {
    this.#max = max;
    this.#perSecond = perSecond;
    this.#left = max;
    this.#filledMs = nowMs;
  }

  /** How many may be spent now; a fraction is on its way to the next. */
  left(nowMs: number): number {
    this.#left = Math.min(this.#max, this.#left + ((nowMs - this.#filledMs) / 1_000) * this.#perSecond);
    this.#filledMs = nowMs;
    return this.#left;
  }

  /** How long until one may be spent; whole milliseconds, so that after it one may. */
  waitMs(nowMs: number): number {
    const left = this.left(nowMs);
    return left >= 1 ? 0 : Math.ceil(((1 - left) / this.#perSecond) * 1_000);
  }

  spend(count = 1): void {
    this.#left -= count;
  }

  /** Spends so many if there is one; what is dearer is paid off before the next. */
  take(nowMs: number, count = 1): boolean {
    if (this.left(nowMs) < 1) return false;
    this.spend(count);
    return true;
  }
}
