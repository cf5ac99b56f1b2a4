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

export class Digest {
  /** Columns, public for the router's inner loop: upper 20 and lower 32 bits of the key, round trip and coordinate in ms. */
  high: Int32Array = new Int32Array(FIRST_CAPACITY);
  low: Int32Array = new Int32Array(FIRST_CAPACITY);
  rttMs: Uint16Array = new Uint16Array(FIRST_CAPACITY);
  #place: Int16Array = new Int16Array(FIRST_CAPACITY * 3);
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

  #grow(): void {
    const grown = <T extends Int32Array | Uint16Array | Int16Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    const capacity = this.high.length * 2;
    this.high = grown(this.high, new Int32Array(capacity));
    this.low = grown(this.low, new Int32Array(capacity));
    this.rttMs = grown(this.rttMs, new Uint16Array(capacity));
    this.#place = grown(this.#place, new Int16Array(capacity * 3));
  }
}
