/**
 * How long a session outlives its paths: it can be resumed over a new one for a while, counts as away after a shorter one, and says when it
 * holds more than it had. Pure: session.ts acts on it.
 */

/**
 * A session without any path lives on for this long, not counting what this side has slept: longer than people close a laptop between two
 * rooms, and about as long as Linux lets TCP wait for an answer (`tcp_retries2`, 924 s).
 */
export const RESUME_MS = 900_000;
/** Without any path for so long, the other side is asleep, cut off or dead: "away" is dispatched, and it is dialled rarely. */
export const AWAY_MS = 60_000;

export class Resumption {
  #pathlessSinceMs: number | undefined;
  #isAway = false;
  #heldBytesTold = 0;

  /** Monotonic time when the last path was lost, later by what this side has slept since; undefined while there is one. */
  get pathlessSinceMs(): number | undefined {
    return this.#pathlessSinceMs;
  }

  /** Without any path for `AWAY_MS`. */
  get isAway(): boolean {
    return this.#isAway;
  }

  /** No path is left. @returns false when none was before */
  pathLost(nowMs: number, heldBytes: number): boolean {
    if (this.#pathlessSinceMs !== undefined) return false;
    this.#pathlessSinceMs = nowMs;
    this.#heldBytesTold = heldBytes;
    return true;
  }

  pathFound(): void {
    this.#pathlessSinceMs = undefined;
    this.#isAway = false;
  }

  /**
   * Looks again, while there is no path.
   * @param stoodStillMs this side did nothing for so long: its own sleep is not the other's silence
   * @returns "lost" when nobody has made a path in time, "away" once
   */
  step(nowMs: number, stoodStillMs: number): "lost" | "away" | undefined {
    const sinceMs = Math.min((this.#pathlessSinceMs ?? nowMs) + stoodStillMs, nowMs);
    this.#pathlessSinceMs = sinceMs;
    if (nowMs - sinceMs > RESUME_MS) return "lost";
    if (nowMs - sinceMs <= AWAY_MS || this.#isAway) return undefined;
    this.#isAway = true;
    return "away";
  }

  /** @returns whether that is more than when it was last so */
  holds(bytes: number): boolean {
    if (bytes <= this.#heldBytesTold) return false;
    this.#heldBytesTold = bytes;
    return true;
  }
}
