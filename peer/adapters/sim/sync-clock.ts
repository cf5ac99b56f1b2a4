/**
 * Virtual time for what never waits for a promise: events run one after the other on the spot, a million a second, where
 * SimClock lets the host settle between two of them.
 */
import type { Clock, Timer } from "../../runtime.ts";
import { EventQueue } from "./event-queue.ts";

/** Wall clock at virtual zero: 2026-01-01T00:00:00Z. */
const EPOCH_MS = 1_767_225_600_000;

export class SyncClock implements Clock {
  readonly #events = new EventQueue();
  #nowMs = 0;

  nowMs(): number {
    return EPOCH_MS + Math.floor(this.#nowMs);
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return this.#events.add(this.#nowMs + Math.max(0, delayMs), callback);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.setTimer(delayMs, resolve));
  }

  defer(callback: () => void): void {
    this.setTimer(0, callback);
  }

  /** Runs everything that is due in the next `durationMs`. */
  advance(durationMs: number): void {
    const untilMs = this.#nowMs + durationMs;
    for (
      let event = this.#events.takeDue(untilMs);
      event !== undefined;
      event = this.#events.takeDue(untilMs)
    ) {
      this.#nowMs = event.atMs;
      event.callback();
    }
    this.#nowMs = untilMs;
  }
}
