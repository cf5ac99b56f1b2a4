/**
 * A peer's clock that can be stopped, as SIGSTOP stops a process: time goes on, and what was due meanwhile is called when it
 * goes on too, late. One that never goes on is a crash.
 */
import type { Clock, Timer } from "../../runtime.ts";
import { sleepOn } from "../sleep.ts";

export class SuspendableClock implements Clock {
  readonly #clock: Clock;
  #due: Set<() => void> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  suspend(): void {
    this.#due ??= new Set();
  }

  resume(): void {
    const due = this.#due ?? [];
    this.#due = undefined;
    for (const callback of due) callback();
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const fire = (): void => {
      if (this.#due === undefined) callback();
      else this.#due.add(callback);
    };
    const timer = this.#clock.setTimer(delayMs, fire);
    return {
      cancel: () => {
        timer.cancel();
        this.#due?.delete(callback);
      },
    };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal);
  }

  defer(callback: () => void): void {
    this.setTimer(0, callback);
  }
}
