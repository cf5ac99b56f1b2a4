/**
 * Remembers what was taken, so that nothing signed is taken twice. Only what is fresh needs remembering; where even that
 * is too much, the oldest is forgotten and everything as old as it counts as stale from then on. So a flood can make
 * late messages fail, but it can never make a repeated one pass.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { CLOCK_SKEW_MS_MAX } from "../../shared/limits.ts";

/** Messages remembered, about 0.5 MiB. A busy peer takes a few a second, and each is fresh for two minutes. */
export const REPLAY_REMEMBERED_MAX = 4096;

export class ReplayGuard {
  /** Times by name of the message. */
  readonly #taken = new Map<string, number>();
  /** Whatever is not newer than this may have been forgotten. */
  #floorMs = Number.NEGATIVE_INFINITY;

  get remembered(): number {
    return this.#taken.size;
  }

  /**
   * Costs nothing and remembers nothing: for before the signature is checked.
   * @throws PeerloomError `signal/stale`
   */
  checkFresh(timeMs: number, nowMs: number): void {
    const skewMs = Math.abs(timeMs - nowMs);
    if (skewMs > CLOCK_SKEW_MS_MAX) {
      throw new PeerloomError(
        "signal/stale",
        `A signal is ${Math.round(skewMs / 1000)} s off this clock; ${CLOCK_SKEW_MS_MAX / 1000} s are allowed. Check the clocks.`,
      );
    }
    if (timeMs <= this.#floorMs) {
      throw new PeerloomError("signal/stale", "A signal came late while too many came. Try again.");
    }
  }

  /** @throws PeerloomError `signal/stale`, `signal/replayed` */
  take(name: string, timeMs: number, nowMs: number): void {
    this.checkFresh(timeMs, nowMs);
    if (this.#taken.has(name)) throw new PeerloomError("signal/replayed", "A signal came a second time.");
    this.#taken.set(name, timeMs);
    if (this.#taken.size > REPLAY_REMEMBERED_MAX) this.#forget(nowMs);
  }

  /** Drops what is past its freshness; when that is nothing, the oldest. */
  #forget(nowMs: number): void {
    let oldestName = "";
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const [name, timeMs] of this.#taken) {
      if (timeMs < nowMs - CLOCK_SKEW_MS_MAX) {
        this.#drop(name, timeMs);
      } else if (timeMs < oldestMs) {
        oldestName = name;
        oldestMs = timeMs;
      }
    }
    if (this.#taken.size > REPLAY_REMEMBERED_MAX) this.#drop(oldestName, oldestMs);
  }

  #drop(name: string, timeMs: number): void {
    this.#taken.delete(name);
    this.#floorMs = Math.max(this.#floorMs, timeMs);
  }
}
