/**
 * Which part of a share is fetched: all of it, a range of bytes, or some of a folder's files. Chunks are verified whole, so those at an
 * edge bring bytes that are not wanted; they are not handed on.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import { Bitfield } from "./bitfield.ts";
import type { Manifest } from "./manifest.ts";
import { chunkCount } from "./chunks.ts";

export interface ByteRange {
  /** First byte. @default 0 */
  readonly start?: number;
  /** Behind the last byte. @default the end */
  readonly end?: number;
}

export interface SelectOptions {
  /** Only these bytes of the content, for `readable` and `blob`. */
  readonly range?: ByteRange;
  /** Only these files of a folder, by their paths in it; a folder's path stands for all below it. */
  readonly select?: readonly string[];
}

interface Interval {
  readonly start: number;
  readonly end: number;
}

export class Selection {
  /** Chunks to fetch. */
  readonly chunks: Bitfield;
  /** Bytes that are wanted of them. */
  readonly bytes: number;
  readonly isAll: boolean;
  readonly #manifest: Manifest;
  readonly #intervals: readonly Interval[];
  readonly #entries: ReadonlySet<number> | undefined;

  /** @throws PeerloomError `files/not-found` (no such file in the folder), `usage/invalid` (range) */
  constructor(manifest: Manifest, { range, select }: SelectOptions) {
    this.#manifest = manifest;
    this.#entries = select === undefined ? undefined : entriesOf(manifest, select);
    this.#intervals = clip(intervalsOf(manifest, this.#entries), range, manifest.bytes);
    this.chunks = new Bitfield(chunkCount(manifest.bytes, manifest.chunkBytes));
    let bytes = 0;
    for (const { start, end } of this.#intervals) {
      bytes += end - start;
      const first = Math.floor(start / manifest.chunkBytes);
      for (let index = first; index * manifest.chunkBytes < end; index++) this.chunks.add(index);
    }
    this.bytes = bytes;
    this.isAll = bytes === manifest.bytes && (this.#entries?.size ?? Infinity) >= manifest.entries.length;
  }

  /** Tells selections of one share apart; empty for all of it. */
  get tag(): string {
    if (this.#entries === undefined) return "";
    let hash = 0x811c9dc5; // FNV-1a
    for (const entry of [...this.#entries].sort((a, b) => a - b))
      hash = Math.imul(hash ^ entry, 0x01000193) >>> 0;
    return `-${hash.toString(16)}`;
  }

  /** Whether a file of the share is wanted. */
  hasEntry(entry: number): boolean {
    return this.#entries?.has(entry) ?? true;
  }

  /** The wanted parts of a chunk, as offsets in it, rising. */
  slices(index: number): readonly Interval[] {
    const { chunkBytes, bytes } = this.#manifest;
    const from = index * chunkBytes;
    const to = Math.min(from + chunkBytes, bytes);
    const slices: Interval[] = [];
    for (let at = this.#firstEndingAfter(from); at < this.#intervals.length; at++) {
      const { start, end } = this.#intervals[at] as Interval;
      if (start >= to) break;
      slices.push({ start: Math.max(start, from) - from, end: Math.min(end, to) - from });
    }
    return slices;
  }

  /** Bytes that are wanted of a chunk. */
  bytesOf(index: number): number {
    return this.slices(index).reduce((sum, { start, end }) => sum + end - start, 0);
  }

  #firstEndingAfter(offset: number): number {
    let low = 0;
    let high = this.#intervals.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#intervals[middle] as Interval).end > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function entriesOf({ entries }: Manifest, select: readonly string[]): ReadonlySet<number> {
  const chosen = new Set<number>();
  for (const wanted of select) {
    const path = wanted.replace(/^\.\//, "").replace(/\/+$/, "");
    let found = false;
    for (const [index, entry] of entries.entries()) {
      if (entry.path !== path && !entry.path.startsWith(`${path}/`)) continue;
      chosen.add(index);
      found = true;
    }
    if (!found)
      throw new PeerloomError("files/not-found", `There is no ${JSON.stringify(wanted)} in what is shared.`);
  }
  return chosen;
}

/** Neighbouring files make one interval. */
function intervalsOf(
  { entries, bytes }: Manifest,
  chosen: ReadonlySet<number> | undefined,
): readonly Interval[] {
  if (chosen === undefined) return bytes > 0 ? [{ start: 0, end: bytes }] : [];
  const intervals: { start: number; end: number }[] = [];
  let start = 0;
  for (const [index, entry] of entries.entries()) {
    const end = start + entry.bytes;
    if (chosen.has(index) && end > start) {
      const last = intervals.at(-1);
      if (last?.end === start) last.end = end;
      else intervals.push({ start, end });
    }
    start = end;
  }
  return intervals;
}

function clip(intervals: readonly Interval[], range: ByteRange | undefined, bytes: number): Interval[] {
  const { start = 0, end = bytes } = range ?? {};
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start) {
    throw new PeerloomError(
      "usage/invalid",
      `A range has whole numbers, start before end: not ${start} to ${end}.`,
    );
  }
  return intervals
    .map((interval) => ({ start: Math.max(interval.start, start), end: Math.min(interval.end, end) }))
    .filter((interval) => interval.end > interval.start);
}
