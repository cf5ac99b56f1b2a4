/**
 * Which chunk next, from whom. Pure bookkeeping above the sources: it knows what is missing, what is under way where, and
 * how quick each source is; it sends nothing itself.
 */

/** What a source may have under way: this much time of its measured rate. */
const WINDOW_MS = 250;
const WINDOW_BYTES_MIN: number = 2 * 1024 * 1024;
const WINDOW_BYTES_MAX: number = 16 * 1024 * 1024;
const RATE_SMOOTHING = 0.2;

export interface SourceState {
  readonly pending: Set<number>;
  bytesPerMs: number;
  lastChunkAtMs: number | undefined;
}

export class Scheduler {
  readonly #count: number;
  readonly #chunkBytes: number;
  readonly #have: Uint8Array;
  readonly #again: number[] = [];
  #next = 0;
  #missing: number;

  constructor(count: number, chunkBytes: number) {
    this.#count = count;
    this.#chunkBytes = chunkBytes;
    this.#have = new Uint8Array(count);
    this.#missing = count;
  }

  get isComplete(): boolean {
    return this.#missing === 0;
  }

  has(index: number): boolean {
    return this.#have[index] === 1;
  }

  /** The chunk is stored. @returns false when it was before */
  done(index: number): boolean {
    if (this.has(index)) return false;
    this.#have[index] = 1;
    this.#missing -= 1;
    return true;
  }

  newSource(): SourceState {
    return { pending: new Set(), bytesPerMs: 0, lastChunkAtMs: undefined };
  }

  /**
   * The next chunk to ask this source for, now marked as under way; undefined when it has enough to do or nothing is
   * left to ask for.
   * @param below only chunks below this index: a reader in order must not be left behind
   */
  take(source: SourceState, below: number = this.#count): number | undefined {
    if (source.pending.size * this.#chunkBytes >= windowBytes(source) && source.pending.size >= 2)
      return undefined;
    const index = this.#due() ?? this.#fresh(below);
    if (index !== undefined) source.pending.add(index);
    return index;
  }

  /** The source delivered; what it can do is learned from how long that took. */
  delivered(source: SourceState, index: number, bytes: number, nowMs: number): void {
    source.pending.delete(index);
    if (source.lastChunkAtMs !== undefined) {
      const rate = bytes / Math.max(nowMs - source.lastChunkAtMs, 0.05);
      source.bytesPerMs += RATE_SMOOTHING * (rate - source.bytesPerMs);
    }
    source.lastChunkAtMs = nowMs;
  }

  /** The chunk must be asked for again, elsewhere or here. */
  retry(index: number): void {
    if (!this.has(index)) this.#again.push(index);
  }

  /** The source is gone; what it had under way goes to others. */
  dropped(source: SourceState): void {
    for (const index of source.pending) this.retry(index);
    source.pending.clear();
    this.#again.sort((a, b) => a - b);
  }

  /** One to be asked for again, unless somebody has brought it meanwhile. */
  #due(): number | undefined {
    let index = this.#again.shift();
    while (index !== undefined && this.has(index)) index = this.#again.shift();
    return index;
  }

  #fresh(below: number): number | undefined {
    while (this.#next < this.#count && this.has(this.#next)) this.#next += 1;
    return this.#next < Math.min(below, this.#count) ? this.#next++ : undefined;
  }
}

function windowBytes(source: SourceState): number {
  return Math.min(Math.max(source.bytesPerMs * WINDOW_MS, WINDOW_BYTES_MIN), WINDOW_BYTES_MAX);
}
