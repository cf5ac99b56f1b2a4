/**
 * What is thought of one neighbour, from what it did: gossipsub 1.1's terms, of which those are left out that need more than this peer can
 * see for certain. Below nothing it is no member of a mesh; far below it is not listened to.
 */

/** Below this no messages are told to it, and its own announcements do not count. */
export const SCORE_GOSSIP = -50;
/** Below this it is left alone for `BAN_MS`. */
export const SCORE_BAN = -100;
export const BAN_MS: number = 10 * 60_000;

const FIRST_MAX = 50;
const MINUTES_MAX = 10;
/** Part that is left after a second. */
const FIRST_DECAY = 0.97;
const BROKEN_DECAY = 0.97;
const EXCESS_DECAY = 0.95;
/** Half an hour until a tenth is left: a forgery is no accident. */
const INVALID_DECAY = 0.9987;
const INVALID_WEIGHT = 10;
const BROKEN_WEIGHT = 1;
const EXCESS_WEIGHT = 0.02;
/** Broken promises and excesses that cost nothing: links fail, and clocks differ. */
const BROKEN_FREE = 3;
const EXCESS_FREE = 20;

export class Score {
  #atMs: number;
  #first = 0;
  #invalid = 0;
  #broken = 0;
  #excess = 0;
  /** Spent in meshes, ms. */
  #meshMs = 0;
  /** Meshes that it is in now. */
  meshes = 0;
  bannedUntilMs: number = Number.NEGATIVE_INFINITY;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /** It brought a message before all others. */
  first(nowMs: number): void {
    this.#decay(nowMs);
    this.#first = Math.min(FIRST_MAX, this.#first + 1);
  }

  /** It passed on what is not to be passed on: 1 for what the application rejects, 3 for a forgery. */
  invalid(nowMs: number, weight: number): void {
    this.#decay(nowMs);
    this.#invalid += weight;
  }

  /** It said that it had something, and did not give it. */
  broken(nowMs: number): void {
    this.#decay(nowMs);
    this.#broken += 1;
  }

  /** It sent more than it may. */
  excess(nowMs: number): void {
    this.#decay(nowMs);
    this.#excess += 1;
  }

  value(nowMs: number): number {
    this.#decay(nowMs);
    const broken = Math.max(0, this.#broken - BROKEN_FREE);
    const excess = Math.max(0, this.#excess - EXCESS_FREE);
    return (
      this.#first +
      Math.min(MINUTES_MAX, this.#meshMs / 60_000) -
      INVALID_WEIGHT * this.#invalid ** 2 -
      BROKEN_WEIGHT * broken ** 2 -
      EXCESS_WEIGHT * excess ** 2
    );
  }

  #decay(nowMs: number): void {
    const seconds = (nowMs - this.#atMs) / 1_000;
    if (seconds <= 0) return;
    this.#atMs = nowMs;
    this.#first *= FIRST_DECAY ** seconds;
    this.#broken *= BROKEN_DECAY ** seconds;
    this.#excess *= EXCESS_DECAY ** seconds;
    this.#invalid *= INVALID_DECAY ** seconds;
    if (this.meshes > 0) this.#meshMs += seconds * 1_000;
  }
}
