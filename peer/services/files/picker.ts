/**
 * Rarest first: the chunks still to be asked for, in order of how many incomplete sources have them, with a free choice among equals.
 * Complete sources count for every chunk alike and so for none. Kept as one array in runs of equal rarity, where a chunk that
 * becomes rarer or less rare changes places with one at the edge of its run (as libtorrent's piece picker): no step depends
 * on how many chunks there are.
 */

export class Picker {
  readonly #order: Uint32Array;
  /** Of each chunk in `#order`; -1: not to be asked for. */
  readonly #place: Int32Array;
  readonly #holders: Uint16Array;
  /** Where the run of each rarity ends; the last one is the end of all. */
  readonly #ends: number[] = [0];
  readonly #unit: () => number;

  /** @param unit uniform in [0, 1) */
  constructor(count: number, unit: () => number) {
    this.#order = new Uint32Array(count);
    this.#place = new Int32Array(count).fill(-1);
    this.#holders = new Uint16Array(count);
    this.#unit = unit;
  }

  /** Chunks to be asked for. */
  get size(): number {
    return this.#ends.at(-1) as number;
  }

  /** Chunks to be asked for that no incomplete source has. */
  get rare(): number {
    return this.#ends[0] as number;
  }

  has(index: number): boolean {
    return (this.#place[index] ?? -1) >= 0;
  }

  /** How many incomplete sources have it. */
  rarity(index: number): number {
    return this.#holders[index] ?? 0;
  }

  /** The chunk is to be asked for. */
  add(index: number): void {
    if (this.has(index)) return;
    const rarity = this.#holders[index] as number;
    while (this.#ends.length <= rarity) this.#ends.push(this.size);
    let free = this.size;
    for (let run = this.#ends.length - 1; run > rarity; run--) {
      const start = this.#ends[run - 1] as number;
      if (start < free) this.#put(this.#order[start] as number, free);
      free = start;
      this.#ends[run] = (this.#ends[run] as number) + 1;
    }
    this.#ends[rarity] = (this.#ends[rarity] as number) + 1;
    this.#put(index, free);
  }

  /** The chunk is not to be asked for, now or ever. */
  remove(index: number): void {
    if (!this.has(index)) return;
    let free = this.#place[index] as number;
    for (let run = this.#holders[index] as number; run < this.#ends.length; run++) {
      const last = (this.#ends[run] as number) - 1;
      if (last > free) this.#put(this.#order[last] as number, free);
      free = last;
      this.#ends[run] = last;
    }
    this.#place[index] = -1;
  }

  /** One more incomplete source has it, or one fewer. */
  count(index: number, change: 1 | -1): void {
    const waits = this.has(index);
    if (waits) this.remove(index);
    this.#holders[index] = (this.#holders[index] as number) + change;
    if (waits) this.add(index);
  }

  /** One of the rarest that satisfy the condition. */
  pick(suits: (index: number) => boolean): number | undefined {
    let start = 0;
    for (const end of this.#ends) {
      const length = end - start;
      const first = Math.floor(this.#unit() * length);
      for (let i = 0; i < length; i++) {
        const index = this.#order[start + ((first + i) % length)] as number;
        if (suits(index)) return index;
      }
      start = end;
    }
    return undefined;
  }

  #put(index: number, place: number): void {
    this.#order[place] = index;
    this.#place[index] = place;
  }
}
