/** A clock that stands until it is moved. Timers run in order of their time, also those made while it moves. */
import type { Clock, Timer } from "../../../peer/runtime.ts";

interface Waiting {
  readonly atMs: number;
  readonly callback: () => void;
}

export class FakeClock implements Clock {
  #nowMs = 1_800_000_000_000;
  readonly #startMs = this.#nowMs;
  readonly #timers = new Set<Waiting>();

  /** Timers that have been set and neither run nor been cancelled. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs - this.#startMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const waiting = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.add(waiting);
    return { cancel: () => void this.#timers.delete(waiting) };
  }

  async sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = this.setTimer(delayMs, resolve);
    const abort = (): void => reject(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      await promise;
    } finally {
      timer.cancel();
      signal?.removeEventListener("abort", abort);
    }
  }

  defer(callback: () => void): void {
    setImmediate(callback);
  }

  /** Moves on, and lets what was waiting for promises run after each timer. */
  async advance(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs;
    for (;;) {
      await settle();
      const next = [...this.#timers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    this.#nowMs = endMs;
    await settle();
  }
}

/** Runs every promise reaction that is ready. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
