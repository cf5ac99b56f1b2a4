/**
 * A neighbour's own table, as it told it: who it is linked to, how far, and where that is. It lets a router look one hop ahead and gives
 * candidates for links for nothing. Two columns of doubles instead of objects: a peer keeps up to 64 digests of up to 96 entries, and
 * a simulation millions, which a garbage collector need not look into, as it must into objects, nor count as memory outside of its heap,
 * as it must typed arrays: the more of that there is, the more often V8 collects everything.
 */
import type { Coordinate } from "./coordinate.ts";
import type { MeshKey } from "./mesh-key.ts";

/** Entries of one digest, and links of a table. Past that additions are dropped. */
export const DIGEST_ENTRIES_MAX = 128;

export interface DigestEntry extends Coordinate {
  readonly key: MeshKey;
  readonly rttMs: number;
}

/** Round trip (14 bits) and height (12), then x and y (13 each, with their sign): what a double holds exactly, to the ms. */
const RTT_MS_MAX: number = 2 ** 14 - 1;
const HEIGHT_MAX: number = 2 ** 12 - 1;
const XY_OFFSET: number = 2 ** 12;
const HALF: number = 2 ** 26;

export class Digest {
  /** Public for the router's inner loop. */
  readonly keys: MeshKey[] = [];
  readonly #far: number[] = [];

  get size(): number {
    return this.keys.length;
  }

  /** At most 16 s. */
  rttMs(index: number): number {
    return Math.floor((this.#far[index] as number) / HALF) >>> 12;
  }

  /** At most 4 s on each axis. */
  coordinate(index: number): Coordinate {
    const far = this.#far[index] as number;
    return {
      x: ((far >>> 13) & 0x1fff) - XY_OFFSET,
      y: (far & 0x1fff) - XY_OFFSET,
      height: Math.floor(far / HALF) & HEIGHT_MAX,
    };
  }

  /** Adds or replaces. @returns whether the key is new here */
  set(entry: DigestEntry): boolean {
    const index = this.keys.indexOf(entry.key);
    if (index >= 0) {
      this.#far[index] = packed(entry);
      return false;
    }
    if (this.size === DIGEST_ENTRIES_MAX) return false;
    this.keys.push(entry.key);
    this.#far.push(packed(entry));
    return true;
  }

  delete(key: MeshKey): boolean {
    const index = this.keys.indexOf(key);
    if (index < 0) return false;
    const [lastKey, lastFar] = [this.keys.pop(), this.#far.pop()] as [MeshKey, number];
    if (index < this.size) {
      this.keys[index] = lastKey;
      this.#far[index] = lastFar;
    }
    return true;
  }

  has(key: MeshKey): boolean {
    return this.keys.includes(key);
  }
}

function packed({ rttMs, x, y, height }: DigestEntry): number {
  const upper = (within(rttMs, 0, RTT_MS_MAX) << 12) | within(height, 0, HEIGHT_MAX);
  return upper * HALF + ((onAxis(x) << 13) | onAxis(y));
}

function onAxis(ms: number): number {
  return within(ms, -XY_OFFSET, XY_OFFSET - 1) + XY_OFFSET;
}

function within(value: number, min: number, max: number): number {
  return Math.min(Math.max(Math.trunc(value), min), max);
}
