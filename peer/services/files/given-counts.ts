/** How often each chunk was given, as far as it tells who should wait: beyond the one that was given least. */

const COUNT_MAX = 65_535;

export class GivenCounts {
  readonly #counts: Uint16Array;
  #least = 0;
  /** Chunks given no more often than that. */
  #atLeast: number;

  constructor(chunks: number) {
    this.#counts = new Uint16Array(chunks);
    this.#atLeast = chunks;
  }

  beyondLeast(index: number): number {
    return (this.#counts[index] as number) - this.#least;
  }

  add(index: number): void {
    const count = this.#counts[index] as number;
    if (count === COUNT_MAX) return;
    this.#counts[index] = count + 1;
    if (count > this.#least || --this.#atLeast > 0) return;
    this.#least += 1;
    for (const each of this.#counts) if (each === this.#least) this.#atLeast += 1;
  }
}
