/**
 * A neighbour's own table, as it told it: who it is linked to, how far, and where that is. It lets a router look one hop ahead and gives
 * candidates for links for nothing. Columns instead of objects: a peer keeps up to 64 digests of up to 96 entries.
 */
import type { Coordinate } from "./coordinate.ts";
import { highBits, type MeshKey } from "./mesh-key.ts";

/** Entries of one digest; a table has at most 120 links. Past that additions are dropped. */
export const DIGEST_ENTRIES_MAX = 128;

export interface DigestEntry extends Coordinate {
  readonly key: MeshKey;
  readonly rttMs: number;
}

const FIRST_CAPACITY = 32;
const WORD: number = 2 ** 32;
const NO_KEYS = new Int32Array(0);
const NO_TIMES = new Uint16Array(0);
const NO_PLACES = new Int16Array(0);
/** Of one entry, in all columns. */
const ENTRY_BYTES = 16;

export class Digest {
  /** Columns, public for the router's inner loop: upper 20 and lower 32 bits of the key, round trip and coordinate in ms. */
  high: Int32Array = NO_KEYS;
  low: Int32Array = NO_KEYS;
  rttMs: Uint16Array = NO_TIMES;
  #place: Int16Array = NO_PLACES;
  size = 0;

  key(index: number): MeshKey {
    return (this.high[index] as number) * WORD + ((this.low[index] as number) >>> 0);
  }

  coordinate(index: number): Coordinate {
    const at = index * 3;
    return {
      x: this.#place[at] as number,
      y: this.#place[at + 1] as number,
      height: this.#place[at + 2] as number,
    };
  }

  /** Adds or replaces. @returns whether the key is new here */
  set(entry: DigestEntry): boolean {
    let index = this.#find(entry.key);
    const isNew = index < 0;
    if (isNew) {
      if (this.size === DIGEST_ENTRIES_MAX) return false;
      index = this.size;
      this.size += 1;
      if (index === this.high.length) this.#grow();
      this.high[index] = highBits(entry.key);
      this.low[index] = entry.key | 0;
    }
    this.rttMs[index] = entry.rttMs;
    this.#place.set([entry.x, entry.y, entry.height], index * 3);
    return isNew;
  }

  delete(key: MeshKey): boolean {
    const index = this.#find(key);
    if (index < 0) return false;
    const last = this.size - 1;
    this.high[index] = this.high[last] as number;
    this.low[index] = this.low[last] as number;
    this.rttMs[index] = this.rttMs[last] as number;
    this.#place.copyWithin(index * 3, last * 3, last * 3 + 3);
    this.size = last;
    return true;
  }

  has(key: MeshKey): boolean {
    return this.#find(key) >= 0;
  }

  #find(key: MeshKey): number {
    const high = highBits(key);
    const low = key | 0;
    for (let i = 0; i < this.size; i++) if (this.low[i] === low && this.high[i] === high) return i;
    return -1;
  }

  /** By half, all columns in one piece of memory: tens of thousands of digests are kept by a simulation. */
  #grow(): void {
    const before = this.high.length;
    const capacity = before === 0 ? FIRST_CAPACITY : Math.min(before + before / 2, DIGEST_ENTRIES_MAX);
    const memory = new ArrayBuffer(capacity * ENTRY_BYTES);
    const { high, low, rttMs } = this;
    const place = this.#place;
    this.high = new Int32Array(memory, 0, capacity);
    this.low = new Int32Array(memory, 4 * capacity, capacity);
    this.rttMs = new Uint16Array(memory, 8 * capacity, capacity);
    this.#place = new Int16Array(memory, 10 * capacity, 3 * capacity);
    this.high.set(high);
    this.low.set(low);
    this.rttMs.set(rttMs);
    this.#place.set(place);
  }
}
