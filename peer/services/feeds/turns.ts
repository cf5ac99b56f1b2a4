/**
 * One thing after the other, and a pause to catch breath: whenever nothing waits, or has not for a while, what is computed from all of it follows.
 */
import type { Clock } from "../../runtime.ts";

/** While there is no pause, what follows does so at least this often. */
const SETTLE_EVERY_MS = 500;

export class Turns {
  readonly #clock: Clock;
  readonly #settle: () => Promise<void>;
  /** What waits, and what is under way. */
  #queued = 0;
  #last: Promise<unknown> = Promise.resolve();
  #settledAtMs: number;

  constructor(clock: Clock, settle: () => Promise<void>) {
    this.#clock = clock;
    this.#settle = settle;
    this.#settledAtMs = clock.monotonicMs();
  }

  /** Runs when all before it is over. */
  take<T>(work: () => Promise<T>): Promise<T> {
    this.#queued += 1;
    const done = this.#last.then(async () => {
      try {
        return await work();
      } finally {
        this.#queued -= 1;
        const nowMs = this.#clock.monotonicMs();
        if (this.#queued === 0 || nowMs - this.#settledAtMs > SETTLE_EVERY_MS) {
          await this.#settle();
          this.#settledAtMs = this.#clock.monotonicMs();
        }
      }
    });
    this.#last = done.catch(() => {});
    return done;
  }

  /** Resolves when nothing is left. */
  async over(): Promise<void> {
    while (this.#queued > 0) await this.#last;
  }
}
