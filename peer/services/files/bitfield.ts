/** Which chunks somebody has: a bit each, the first in the highest bit of the first byte (as BEP 3 has it). */

export class Bitfield {
  readonly count: number;
  readonly #bits: Uint8Array;
  #size = 0;

  constructor(count: number) {
    this.count = count;
    this.#bits = new Uint8Array(Math.ceil(count / 8));
  }

  static full(count: number): Bitfield {
    const field = new Bitfield(count);
    for (let index = 0; index < count; index++) field.add(index);
    return field;
  }

  /** Undefined when it is of another length, or says something about chunks that there are not. */
  static from(bytes: Uint8Array, count: number): Bitfield | undefined {
    const field = new Bitfield(count);
    if (bytes.length !== field.#bits.length) return undefined;
    for (let index = 0; index < bytes.length * 8; index++) {
      if (((bytes[index >> 3] as number) & (0x80 >> (index & 7))) === 0) continue;
      if (index >= count) return undefined;
      field.add(index);
    }
    return field;
  }

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    return this.#size === this.count;
  }

  has(index: number): boolean {
    return ((this.#bits[index >> 3] ?? 0) & (0x80 >> (index & 7))) !== 0;
  }

  /** @returns false when it was there, or is none of the chunks */
  add(index: number): boolean {
    if (index >= this.count || this.has(index)) return false;
    this.#bits[index >> 3] = (this.#bits[index >> 3] as number) | (0x80 >> (index & 7));
    this.#size += 1;
    return true;
  }

  /** @returns false when it was not there */
  delete(index: number): boolean {
    if (!this.has(index)) return false;
    this.#bits[index >> 3] = (this.#bits[index >> 3] as number) & ~(0x80 >> (index & 7));
    this.#size -= 1;
    return true;
  }

  /** A copy. */
  toBytes(): Uint8Array {
    return this.#bits.slice();
  }
}
