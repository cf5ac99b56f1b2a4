/**
 * Remembers what was taken, so that nothing signed is taken twice. Only what is fresh needs remembering; where even that
 * is too much, the oldest is forgotten and everything as old as it counts as stale from then on. So a flood can make
 * late messages fail, but it can never make a repeated one pass. What is dated ahead is remembered apart and never forgotten while it is fresh: past as
 * many, those that come are refused, or a flood of them would make everything stale that is dated now.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { CLOCK_SKEW_MS_MAX } from "../../shared/limits.ts";

/** Clocks that are right are not so far apart. */
export const REPLAY_AHEAD_MS = 2_000;
/** Messages remembered, and as many that are dated ahead, about 0.5 MiB. A busy peer takes a few a second, and each is fresh for two minutes. */
export const REPLAY_REMEMBERED_MAX = 4096;

export class ReplayGuard {
  /** Times by name of the message. */
  readonly #taken = new Map<string, number>();
  /** The same, of those that were dated ahead when they came. */
  readonly #ahead = new Map<string, number>();
  /** Whatever is not newer than this may have been forgotten. */
  #floorMs = Number.NEGATIVE_INFINITY;

  get remembered(): number {
    return this.#taken.size + this.#ahead.size;
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
    if (timeMs <= this.#floorMs) throw tooMany("late");
  }

  /** @throws PeerloomError `signal/stale`, `signal/replayed` */
  take(name: string, timeMs: number, nowMs: number): void {
    this.checkFresh(timeMs, nowMs);
    if (this.#taken.has(name) || this.#ahead.has(name))
      throw new PeerloomError("signal/replayed", "A signal came a second time.");
    if (timeMs > nowMs + REPLAY_AHEAD_MS) {
      if (this.#ahead.size >= REPLAY_REMEMBERED_MAX) this.#forgetPast(this.#ahead, nowMs);
      if (this.#ahead.size >= REPLAY_REMEMBERED_MAX) throw tooMany("dated ahead");
      this.#ahead.set(name, timeMs);
      return;
    }
    this.#taken.set(name, timeMs);
    if (this.#taken.size <= REPLAY_REMEMBERED_MAX) return;
    const [oldestName, oldestMs] = this.#forgetPast(this.#taken, nowMs);
    if (this.#taken.size > REPLAY_REMEMBERED_MAX) this.#drop(this.#taken, oldestName, oldestMs);
  }

  /** Drops what is past its freshness. @returns the oldest of the others */
  #forgetPast(remembered: Map<string, number>, nowMs: number): readonly [name: string, timeMs: number] {
    let oldest: readonly [string, number] = ["", Number.POSITIVE_INFINITY];
    for (const [name, timeMs] of remembered) {
      if (timeMs < nowMs - CLOCK_SKEW_MS_MAX) this.#drop(remembered, name, timeMs);
      else if (timeMs < oldest[1]) oldest = [name, timeMs];
    }
    return oldest;
  }

  #drop(remembered: Map<string, number>, name: string, timeMs: number): void {
    remembered.delete(name);
    this.#floorMs = Math.max(this.#floorMs, timeMs);
  }
}

function tooMany(how: string): PeerloomError {
  return new PeerloomError("signal/stale", `A signal came ${how} while too many came. Try again.`);
}
