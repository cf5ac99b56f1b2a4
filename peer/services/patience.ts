/** How long something has been waited for in vain: while a machine, process or page sleeps nobody could have helped, and that does not count. */
import { SLEPT_MS } from "../overlay/wake-watch.ts";
import type { Clock } from "../runtime.ts";

export class Patience {
  readonly #clock: Pick<Clock, "monotonicMs">;
  #lookedAtMs: number;
  #waitedMs = 0;

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
    this.#lookedAtMs = clock.monotonicMs();
  }

  /** It came, or nothing is waited for. */
  reset(): void {
    this.#lookedAtMs = this.#clock.monotonicMs();
    this.#waitedMs = 0;
  }

  /** To be looked at more often than every `SLEPT_MS`: of a longer time between two looks no more than that counts. */
  waitedMs(): number {
    const nowMs = this.#clock.monotonicMs();
    this.#waitedMs += Math.min(nowMs - this.#lookedAtMs, SLEPT_MS);
    this.#lookedAtMs = nowMs;
    return this.#waitedMs;
  }
}
