/**
 * Finds out that this program was asleep: a laptop that was closed, a process that was stopped, a frozen page. Its sockets may be dead then, and
 * what it has not heard meanwhile says nothing about others. Some clocks stand still in a machine's sleep and some do not
 * (CLOCK_MONOTONIC of Linux does, and goes on for a stopped process), so both are looked at.
 */
import type { Clock, Timer } from "../runtime.ts";

const LOOK_EVERY_MS = 2_000;
/** Later than any timer of a busy machine; a wall clock that is set forward by so much costs every session a ping. */
export const SLEPT_MS = 10_000;

export class WakeWatch {
  readonly #clock: Clock;
  readonly #woken: (sleptMs: number) => void;
  #timer: Timer;

  /** @param woken called after each sleep, with how long it was at least */
  constructor(clock: Clock, woken: (sleptMs: number) => void) {
    this.#clock = clock;
    this.#woken = woken;
    this.#timer = this.#look();
  }

  stop(): void {
    this.#timer.cancel();
  }

  #look(): Timer {
    const { slackMs = 0 } = this.#clock;
    const [wallMs, monotonicMs] = [this.#clock.nowMs(), this.#clock.monotonicMs()];
    return this.#clock.setTimer(LOOK_EVERY_MS, () => {
      const passedMs = Math.max(this.#clock.nowMs() - wallMs, this.#clock.monotonicMs() - monotonicMs);
      this.#timer = this.#look();
      const sleptMs = passedMs - LOOK_EVERY_MS;
      if (sleptMs > SLEPT_MS + slackMs) this.#woken(sleptMs);
    });
  }
}
