/**
 * A bounded ring of bytes between a stream's writer and the frames that carry them. Writing copies, so that a writer may
 * use its chunk again at once; taking hands out views that are sealed before anything else is written.
 */

import { assert } from "../../shared/errors.ts";

const FIRST_CAPACITY_BYTES = 16 * 1024;

export class ByteQueue {
  readonly #capacityMax: number;
  #ring: Uint8Array = new Uint8Array(0);
  #start = 0;
  #length = 0;
  #takenBytes = 0;
  /** Whom to tell, by rising `atBytes` taken. */
  readonly #departures: { readonly atBytes: number; readonly resolve: () => void }[] = [];

  /** @param capacityMax bytes at most; memory grows by doubling up to it */
  constructor(capacityMax: number) {
    this.#capacityMax = capacityMax;
  }

  get length(): number {
    return this.#length;
  }

  /** Resolves when all that is in it now was taken, or dropped. */
  departed(): Promise<void> {
    if (this.#length === 0) return Promise.resolve();
    const atBytes = this.#takenBytes + this.#length;
    return new Promise((resolve) => this.#departures.push({ atBytes, resolve }));
  }

  /** Copies as much as there is room for. @returns how many bytes were taken */
  write(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.#capacityMax - this.#length);
    this.#reserve(this.#length + count);
    const end = (this.#start + this.#length) % this.#ring.length;
    const untilWrap = Math.min(count, this.#ring.length - end);
    this.#ring.set(bytes.subarray(0, untilWrap), end);
    if (untilWrap < count) this.#ring.set(bytes.subarray(untilWrap, count), 0);
    this.#length += count;
    return count;
  }

  /** Removes up to `bytesMax` bytes, as one or two views; they hold until the next `write`. */
  take(bytesMax: number): Uint8Array[] {
    assert(Number.isInteger(bytesMax), "bytes come whole");
    const count = Math.min(bytesMax, this.#length);
    if (count === 0) return [];
    const untilWrap = Math.min(count, this.#ring.length - this.#start);
    const views = [this.#ring.subarray(this.#start, this.#start + untilWrap)];
    if (untilWrap < count) views.push(this.#ring.subarray(0, count - untilWrap));
    this.#length -= count;
    this.#takenBytes += count;
    while ((this.#departures[0]?.atBytes ?? Number.POSITIVE_INFINITY) <= this.#takenBytes)
      this.#departures.shift()?.resolve();
    // Beginning again at zero keeps the next frames in one piece.
    this.#start = this.#length === 0 ? 0 : (this.#start + count) % this.#ring.length;
    return views;
  }

  /** Drops everything and gives the memory back. */
  clear(): void {
    this.#ring = new Uint8Array(0);
    this.#start = 0;
    this.#length = 0;
    for (const { resolve } of this.#departures.splice(0)) resolve();
  }

  #reserve(needed: number): void {
    if (needed <= this.#ring.length) return;
    let capacity = Math.max(FIRST_CAPACITY_BYTES, this.#ring.length);
    while (capacity < needed) capacity *= 2;
    const grown = new Uint8Array(Math.min(capacity, this.#capacityMax));
    const kept = this.#length;
    let offset = 0;
    for (const view of this.take(kept)) {
      grown.set(view, offset);
      offset += view.length;
    }
    this.#ring = grown;
    this.#start = 0;
    this.#length = kept;
  }
}
