/**
 * Whether a path that is up has become clearly worse than another one of the same session. Links lose nothing, so loss shows in the round trip
 * too: a ping waits behind what is sent again. The order of kinds (path.ts) stands until a path has been worse by far for a while,
 * and comes back only when it has been as good for longer, each time twice as long: nothing moves to and fro.
 */

/** Worse: more than this many of the other's round trips, and so much more. A path's own bulk, and a busy machine, delay less (send-window.ts). */
const WORSE = { times: 2, moreMs: 200 } as const;
/** The other one costs somebody else, the edge or a peer that forwards: only where the direct path is all but useless. */
const WORSE_THAN_COSTLY = { times: 4, moreMs: 400 } as const;
/** As good again, as compared with the other. */
const GOOD = { times: 1.25, moreMs: 50 } as const;
/** So long it must have been worse, without a break. */
export const WORSE_MS = 3_000;
/** So long it must have been good again, the first time; twice as long after each fall. */
export const GOOD_MS = 10_000;
const GOOD_MS_MAX = 600_000;

/** Round trips of a path and of the best other one, both measured just now. */
export interface Comparison {
  readonly rttMs: number;
  readonly otherRttMs: number;
  /** The other goes through the edge or another peer, and this one does not. */
  readonly isOtherCostly: boolean;
}

/** Far enough behind the other that it is worth measuring both closely. */
export function isFarBehind({ rttMs, otherRttMs, isOtherCostly }: Comparison): boolean {
  const { times, moreMs } = isOtherCostly ? WORSE_THAN_COSTLY : WORSE;
  return rttMs > times * otherRttMs + moreMs;
}

export class Standing {
  #isDemoted = false;
  #sinceMs: number | undefined;
  #falls = 0;

  /** Others of the session go first. */
  get isDemoted(): boolean {
    return this.#isDemoted;
  }

  /** @param comparison undefined: there is nothing to compare with, and what was seen before counts no more */
  compare(comparison: Comparison | undefined, nowMs: number): void {
    if (comparison === undefined) {
      this.#sinceMs = undefined;
      return;
    }
    const { rttMs, otherRttMs } = comparison;
    const isChanging = this.#isDemoted
      ? rttMs <= GOOD.times * otherRttMs + GOOD.moreMs
      : isFarBehind(comparison);
    if (!isChanging) {
      this.#sinceMs = undefined;
      return;
    }
    this.#sinceMs ??= nowMs;
    const waitMs = this.#isDemoted ? Math.min(GOOD_MS * 2 ** (this.#falls - 1), GOOD_MS_MAX) : WORSE_MS;
    if (nowMs - this.#sinceMs < waitMs) return;
    this.#isDemoted = !this.#isDemoted;
    this.#sinceMs = undefined;
    if (this.#isDemoted) this.#falls += 1;
  }
}
