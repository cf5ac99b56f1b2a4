/**
 * Virtual time. Events wait in one queue, by time and then by the order they came; between two of them the host is left
 * to finish every microtask and every WebCrypto call (host-work.ts), so that what a peer does at an instant is over
 * before time moves. Time never moves by itself: the test drives it.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { Clock, Timer } from "../../runtime.ts";
import { sleepOn } from "../sleep.ts";
import { EventQueue } from "./event-queue.ts";
import { orderHostWork } from "./host-work.ts";

/** Wall clock at virtual zero: 2026-01-01T00:00:00Z. */
const EPOCH_MS = 1_767_225_600_000;
/** A simulation of one day is a mistake; a peer that spins is found sooner by `EVENTS_AT_ONCE_MAX`. */
const RUN_MS_MAX = 86_400_000;
/** Events at one instant. Past that something calls itself without time going by. */
const EVENTS_AT_ONCE_MAX = 1_000_000;

export class SimClock implements Clock {
  readonly #events = new EventQueue();
  readonly #work = orderHostWork();
  #nowMs = 0;
  #timers = 0;
  #eventsAtOnce = 0;

  // --- what a peer sees ---

  nowMs(): number {
    return EPOCH_MS + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    this.#timers += 1;
    let waiting = true;
    const over = (): void => {
      waiting = false;
      this.#timers -= 1;
    };
    const event = this.schedule(delayMs, () => {
      over();
      callback();
    });
    return {
      cancel: () => {
        if (!waiting) return;
        over();
        event.cancel();
      },
    };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal);
  }

  defer(callback: () => void): void {
    this.setTimer(0, callback);
  }

  // --- what the simulated world uses ---

  /** An event of the world (a frame arrives, a link dies), not counted among the peers' timers. */
  schedule(delayMs: number, callback: () => void): Timer {
    return this.#events.add(this.#nowMs + Math.max(0, delayMs), callback);
  }

  /** Timers, sleeps and deferred calls that peers have asked for and that are still to come. */
  get timersPending(): number {
    return this.#timers;
  }

  // --- what the test drives ---

  /** Lets the host finish what is under way at this instant. */
  settle(): Promise<void> {
    return this.#work.settle();
  }

  /** Moves time on by `durationMs`, through everything that is due on the way. */
  async advance(durationMs: number): Promise<void> {
    const untilMs = this.#nowMs + durationMs;
    await this.settle();
    while (this.#step(untilMs)) await this.settle();
    this.#nowMs = untilMs;
  }

  /** Runs until nothing is left to happen. @throws PeerloomError `simulation/stuck` when that takes more than `limitMs` of virtual time */
  async run(limitMs: number = RUN_MS_MAX): Promise<void> {
    const untilMs = this.#nowMs + limitMs;
    await this.settle();
    while (this.#step(untilMs)) await this.settle();
    if (this.#events.size > 0) throw stuck(`Still busy after ${limitMs} ms of virtual time.`);
  }

  /**
   * Runs until the promise is settled, and no further.
   * @throws PeerloomError `simulation/stuck` when it is not after `limitMs` of virtual time, or can never be since nothing is left to happen
   */
  async runUntil<T>(promise: Promise<T>, limitMs: number = RUN_MS_MAX): Promise<T> {
    const untilMs = this.#nowMs + limitMs;
    let settled = false;
    const mark = (): void => {
      settled = true;
    };
    promise.then(mark, mark);
    await this.settle();
    while (!settled) {
      if (!this.#step(untilMs)) {
        const why =
          this.#events.size > 0 ? `after ${limitMs} ms of virtual time` : "and nothing is left to happen";
        throw stuck(`What was waited for has not come ${why} (now ${this.#nowMs} ms).`);
      }
      await this.settle();
    }
    return promise;
  }

  /** Gives the host's WebCrypto back. Nothing can be driven afterwards. */
  close(): void {
    this.#work.release();
  }

  /** Runs the next event that is due by then. */
  #step(untilMs: number): boolean {
    const event = this.#events.takeDue(untilMs);
    if (event === undefined) return false;
    this.#eventsAtOnce = event.atMs > this.#nowMs ? 0 : this.#eventsAtOnce + 1;
    if (this.#eventsAtOnce > EVENTS_AT_ONCE_MAX) throw stuck(`Time stands still at ${this.#nowMs} ms.`);
    this.#nowMs = event.atMs;
    event.callback();
    return true;
  }
}

function stuck(message: string): PeerloomError {
  return new PeerloomError("simulation/stuck", message);
}
