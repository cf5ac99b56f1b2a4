/**
 * Which peers to be linked to. The closest eight (siblings) are always wanted; the rest of the budget is spread over the buckets, each bucket over
 * its quarters, and in a quarter over the nearest in time (proximity neighbour selection, Gummadi et al., SIGCOMM
 * 2003). XOR is symmetric, so one link serves the same bucket of both its ends.
 */
import { type Coordinate, predictRttMs } from "./coordinate.ts";
import { DIGEST_ENTRIES_MAX } from "./digest.ts";
import { distance, KEY_BITS, type MeshKey, sharedBits } from "./mesh-key.ts";
import type { Neighbour } from "./neighbour.ts";

export const SIBLINGS = 8;
const QUARTERS = 4;
/** Who may have this peer among its siblings is one of so many closest here: distance is the same from both ends. What it says of itself proves nothing. */
const SIBLINGS_OF_MAX: number = 2 * SIBLINGS;
/** Links beyond the budget, for newcomers that would have to begin elsewhere. */
const GUESTS_MAX = 8;
/** Of a table, for peers of one address prefix: enough for a network that sits all in one place to hold together. */
const PREFIX_SHARE = 3 / 8;
/** Where others would have to go for them no more than so many are taken, and those that are more go first: a crowd that comes again and again wears nobody else out. */
const PREFIX_LINKS = 2;
/** Candidates of one quarter that are compared by round trip. */
const CANDIDATES_COMPARED_MAX = 16;
/** A link younger than this is not given up for being one too many. */
const SURPLUS_AFTER_MS = 30_000;
/** A request that passed a link so lately may have its answer still to come back over it. */
const IN_USE_MS = 1_000;
/** A nearer candidate replaces a neighbour only for this much. */
const REPLACE_SHARE = 0.7;
const REPLACE_MS_MIN = 15;

export interface LinkBudget {
  /** Links wanted. */
  readonly target: number;
  /** Links accepted when others want them. */
  readonly max: number;
}

/** Budgets by platform: a browser's connections are dear, a server's cheap. */
export const LINK_BUDGETS: { readonly browser: LinkBudget; readonly server: LinkBudget } = {
  browser: { target: 32, max: 40 },
  server: { target: 64, max: 80 },
};

/** Somebody a neighbour's digest names. */
export interface Candidate {
  readonly key: MeshKey;
  /** The neighbour that is linked to it. */
  readonly via: Neighbour;
  readonly predictedRttMs: number;
  readonly isSibling: boolean;
}

export class LinkTable {
  readonly #own: MeshKey;
  readonly #budget: LinkBudget;
  readonly #neighbours = new Map<MeshKey, Neighbour>();
  /** Links by address prefix, of those that have one. */
  readonly #prefixes = new Map<string, number>();
  /** Of the last sibling; undefined when it must be found again. */
  #siblingDistance: number | undefined;

  constructor(own: MeshKey, budget: LinkBudget) {
    this.#own = own;
    this.#budget = budget;
  }

  get neighbours(): ReadonlyMap<MeshKey, Neighbour> {
    return this.#neighbours;
  }

  get size(): number {
    return this.#neighbours.size;
  }

  add(neighbour: Neighbour): void {
    this.#neighbours.set(neighbour.key, neighbour);
    this.#count(neighbour, 1);
  }

  delete(key: MeshKey): void {
    const neighbour = this.#neighbours.get(key);
    if (neighbour === undefined) return;
    this.#neighbours.delete(key);
    this.#count(neighbour, -1);
  }

  clear(): void {
    for (const key of [...this.#neighbours.keys()]) this.delete(key);
  }

  /** Fewer links than wanted, siblings aside. */
  get isShort(): boolean {
    return this.size < this.#budget.target;
  }

  /** More links than any table has: one of them must go. */
  get isOver(): boolean {
    return this.size > Math.min(this.#budget.max + GUESTS_MAX, DIGEST_ENTRIES_MAX);
  }

  /** For a link to a peer of that key, at an address of that prefix. */
  hasRoom(key: MeshKey, isNewcomer: boolean, prefix = ""): boolean {
    const isSibling = this.isSibling(key);
    const isEasy = this.size <= this.#rest || isSibling || isNewcomer;
    const ofPrefix = isEasy ? this.#budget.target * PREFIX_SHARE : PREFIX_LINKS;
    if ((this.#prefixes.get(prefix) ?? 0) >= ofPrefix) return false;
    return isSibling || this.size < this.#budget.max + (isNewcomer ? GUESTS_MAX : 0);
  }

  /** Between target and maximum a table rests: closing what the other side then opens again helps nobody. */
  get #rest(): number {
    return (this.#budget.target + this.#budget.max) / 2;
  }

  /** Neighbours by rising distance, at most so many. */
  closest(target: MeshKey, count: number): Neighbour[] {
    return [...this.neighbours.values()]
      .sort((a, b) => distance(a.key, target) - distance(b.key, target))
      .slice(0, count);
  }

  /** Distance of the last sibling; whoever is closer is one. */
  get siblingDistance(): number {
    return (this.#siblingDistance ??= this.#distanceOf(SIBLINGS));
  }

  /** Would be among the closest. */
  isSibling(key: MeshKey): boolean {
    return distance(key, this.#own) <= this.siblingDistance;
  }

  /** Whom to link to next: siblings first, then the emptiest quarter of a bucket that is short. */
  wanted(own: Coordinate, isOut: (key: MeshKey) => boolean): Candidate | undefined {
    const sibling = this.#missingSibling(isOut);
    return sibling === undefined && this.isShort ? this.#missing(own, isOut) : sibling;
  }

  /**
   * A neighbour one too many, or undefined: of the most crowded prefix, not in use, from the fullest bucket, nobody's sibling, the farthest in
   * time. Where one must go, it may be somebody's.
   */
  surplus(nowMs: number): Neighbour | undefined {
    const { isOver } = this;
    if (!isOver && this.size <= this.#rest) return undefined;
    const limit = this.siblingDistance;
    const limitOf = this.#distanceOf(SIBLINGS_OF_MAX);
    const counts = new Map<number, number>();
    const spare: Neighbour[] = [];
    for (const neighbour of this.neighbours.values()) {
      const away = distance(neighbour.key, this.#own);
      if (away <= limit) continue;
      const bucket = sharedBits(this.#own, neighbour.key);
      counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
      const isKept =
        nowMs - neighbour.sinceMs <= SURPLUS_AFTER_MS || (away <= limitOf && this.#isSiblingOf(neighbour));
      if (!isKept || isOver || this.#crowdOf(neighbour) > 0) spare.push(neighbour);
    }
    const fullness = (one: Neighbour): number => counts.get(sharedBits(this.#own, one.key)) ?? 0;
    const isInUse = (one: Neighbour): number => (nowMs - one.usedAtMs < IN_USE_MS ? 1 : 0);
    return spare.sort(
      (a, b) =>
        this.#crowdOf(b) - this.#crowdOf(a) ||
        isInUse(a) - isInUse(b) ||
        fullness(b) - fullness(a) ||
        a.answered - b.answered ||
        b.rttMs - a.rttMs,
    )[0];
  }

  /** A candidate much nearer in time than the farthest neighbour of the same quarter, where the table is full. */
  nearer(own: Coordinate, isOut: (key: MeshKey) => boolean): Candidate | undefined {
    if (this.isShort) return undefined;
    const farthest = new Map<number, number>();
    const limit = this.siblingDistance;
    for (const neighbour of this.neighbours.values()) {
      if (distance(neighbour.key, this.#own) <= limit) continue;
      const quarter = quarterOf(this.#own, neighbour.key);
      farthest.set(quarter, Math.max(farthest.get(quarter) ?? 0, neighbour.rttMs));
    }
    let best: Candidate | undefined;
    let bestGain = REPLACE_MS_MIN;
    for (const via of this.neighbours.values()) {
      const { digest } = via;
      for (const [i, key] of digest.keys.entries()) {
        const worst = farthest.get(quarterOf(this.#own, key));
        if (worst === undefined || key === this.#own || this.neighbours.has(key)) continue;
        const predictedRttMs = predictRttMs(own, digest.coordinate(i));
        const gain = worst - predictedRttMs;
        if (predictedRttMs > worst * REPLACE_SHARE || gain <= bestGain || isOut(key)) continue;
        best = { key, via, predictedRttMs, isSibling: false };
        bestGain = gain;
      }
    }
    return best;
  }

  /** The closest of those that are closer than the last sibling. */
  #missingSibling(isOut: (key: MeshKey) => boolean): Candidate | undefined {
    let closest: Candidate | undefined;
    let limit = this.siblingDistance;
    for (const via of this.neighbours.values()) {
      if (via.isSuspect) continue;
      for (const key of via.digest.keys) {
        const away = distance(key, this.#own);
        if (away >= limit || away === 0 || this.neighbours.has(key) || isOut(key)) continue;
        limit = away;
        closest = { key, via, predictedRttMs: 0, isSibling: true };
      }
    }
    return closest;
  }

  /** The nearest in time of some for the emptiest quarter of a bucket that is short of links. */
  #missing(own: Coordinate, isOut: (key: MeshKey) => boolean): Candidate | undefined {
    const shortage = this.#shortage(this.siblingDistance);
    let best: Candidate | undefined;
    let bestCoverage = Number.POSITIVE_INFINITY;
    let compared = 0;
    for (const via of this.neighbours.values()) {
      if (via.isSuspect) continue;
      const { digest } = via;
      const { keys } = digest;
      for (let i = 0; i < keys.length; i++) {
        const key = keys[i] as MeshKey;
        const coverage = shortage[quarterOf(this.#own, key)];
        // Most are out by a number; sets are asked about the rest.
        if (coverage === undefined || coverage > bestCoverage) continue;
        if (key === this.#own || this.neighbours.has(key) || isOut(key)) continue;
        if (coverage < bestCoverage) compared = 0;
        compared += 1;
        if (compared > CANDIDATES_COMPARED_MAX) continue;
        const predictedRttMs = predictRttMs(own, digest.coordinate(i));
        if (compared > 1 && predictedRttMs >= (best?.predictedRttMs ?? 0)) continue;
        bestCoverage = coverage;
        best = { key, via, predictedRttMs, isSibling: false };
      }
    }
    return best;
  }

  #count({ prefix }: Neighbour, change: 1 | -1): void {
    this.#siblingDistance = undefined;
    if (prefix === undefined) return;
    const links = (this.#prefixes.get(prefix) ?? 0) + change;
    if (links === 0) this.#prefixes.delete(prefix);
    else this.#prefixes.set(prefix, links);
  }

  /** Links of its prefix that are too many. */
  #crowdOf({ prefix = "" }: Neighbour): number {
    return Math.max((this.#prefixes.get(prefix) ?? 0) - PREFIX_LINKS, 0);
  }

  /** Of the so manieth closest neighbour; infinite when there are fewer. */
  #distanceOf(count: number): number {
    const last = this.closest(this.#own, count)[count - 1];
    return last === undefined ? Number.POSITIVE_INFINITY : distance(last.key, this.#own);
  }

  /** We may be one of its closest, as it says. */
  #isSiblingOf(neighbour: Neighbour): boolean {
    const own = distance(this.#own, neighbour.key);
    let closer = 0;
    for (const key of neighbour.digest.keys) if (distance(key, neighbour.key) < own) closer += 1;
    return closer < SIBLINGS;
  }

  /** For each quarter of a bucket that is short of links, how many it has; the budget without siblings is spread evenly. */
  #shortage(siblingDistance: number): readonly (number | undefined)[] {
    const deepest =
      siblingDistance === Number.POSITIVE_INFINITY
        ? 0
        : Math.min(Math.max(KEY_BITS - Math.ceil(Math.log2(siblingDistance + 1)), 0), KEY_BITS - 1);
    const spread = Math.max(this.#budget.target - SIBLINGS, 1);
    const each = Math.max(Math.floor(spread / (deepest + 1)), 1);
    const extra = Math.max(spread - each * (deepest + 1), 0);
    const inBucket = new Uint8Array(KEY_BITS + 1);
    const inQuarter = new Uint8Array((KEY_BITS + 1) * QUARTERS);
    for (const neighbour of this.neighbours.values()) {
      if (distance(neighbour.key, this.#own) <= siblingDistance && this.size > SIBLINGS) continue;
      const bucket = sharedBits(this.#own, neighbour.key);
      const quarter = quarterOf(this.#own, neighbour.key);
      inBucket[bucket] = (inBucket[bucket] as number) + 1;
      inQuarter[quarter] = (inQuarter[quarter] as number) + 1;
    }
    const shortage: (number | undefined)[] = [];
    for (let bucket = 0; bucket <= deepest; bucket++) {
      const wantedLinks = each + (bucket < extra ? 1 : 0);
      if ((inBucket[bucket] as number) >= wantedLinks) continue;
      for (let i = bucket * QUARTERS; i < (bucket + 1) * QUARTERS; i++) shortage[i] = inQuarter[i];
    }
    return shortage;
  }
}

const POWERS: readonly number[] = Array.from({ length: KEY_BITS }, (_, exponent) => 2 ** exponent);

/** Bucket and the two bits behind it, as one index. */
function quarterOf(own: MeshKey, key: MeshKey): number {
  const bucket = sharedBits(own, key);
  const shift = KEY_BITS - bucket - 3;
  const bits = shift >= 0 ? Math.floor(key / (POWERS[shift] as number)) & (QUARTERS - 1) : 0;
  return bucket * QUARTERS + bits;
}
