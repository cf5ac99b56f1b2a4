/**
 * Entries of one writer from any place of its log, with the proof that they stand there: the tiles to their left and right,
 * which with them give the root of a signed head. Ranges from several peers are verified one by one, in any order.
 */
import { equalBytes } from "../../../shared/bytes.ts";
import { FieldReader } from "../../../shared/codec.ts";
import type { HashProvider } from "../../runtime.ts";
import { ENTRIES_MAX, ENTRY_BYTES_MAX } from "./entry.ts";
import { type Head, headFields, readHead } from "./head.ts";
import {
  HASH_BYTES,
  HEIGHT_MAX,
  leafHashes,
  leavesUnder,
  peaksOf,
  rootOf,
  type Tile,
  tilesOver,
} from "./tree.ts";

/** Entries that one range may have. */
export const RANGE_ENTRIES_MAX = 256;
/** A range ends with the entry that reaches this. */
export const RANGE_BYTES_ENOUGH: number = 256 * 1024;
/** Tiles on one side: a few more than the tree is high, since a log in parts has some in parts. */
const TILES_MAX = 3 * HEIGHT_MAX;

export interface Range {
  readonly head: Head;
  readonly from: number;
  /** Their bytes. */
  readonly entries: readonly Uint8Array[];
  readonly left: readonly Tile[];
  readonly right: readonly Tile[];
}

/** A range that has been verified against its head's root. */
export interface ProvedRange extends Range {
  /** Hashes of the entries. */
  readonly leaves: readonly Uint8Array[];
  /** The fewest tiles over everything before: equal in all logs with the same beginning. */
  readonly before: readonly Tile[];
}

/** Undefined when the entries are not what the head's root says. The head's signature is another matter. */
export async function proveRange(hash: HashProvider, range: Range): Promise<ProvedRange | undefined> {
  const { head, from, entries, left, right } = range;
  if (entries.length === 0) return undefined;
  if (leavesUnder(left) !== from || from + entries.length + leavesUnder(right) !== head.length)
    return undefined;
  const leaves = await leafHashes(hash, entries);
  const before = await peaksOf(hash, left);
  if (before === undefined) return undefined;
  const peaks = await peaksOf(hash, [...before, ...(await tilesOver(hash, from, leaves)), ...right]);
  if (peaks === undefined || !equalBytes(await rootOf(hash, peaks), head.root)) return undefined;
  return { ...range, leaves, before };
}

export function rangeFields({ head, from, entries, left, right }: Range): readonly unknown[] {
  return [...headFields(head), from, entries, tileFields(left), tileFields(right)];
}

/** @throws PeerloomError `wire/malformed` */
export function readRange(fields: FieldReader, entriesMax: number = RANGE_ENTRIES_MAX): Range {
  return {
    head: readHead(fields),
    from: fields.integer(0, ENTRIES_MAX - 1),
    entries: fields.list(entriesMax, (item) => new FieldReader([item], "entry").bytes(1, ENTRY_BYTES_MAX)),
    left: readTiles(fields),
    right: readTiles(fields),
  };
}

export function tileFields(tiles: readonly Tile[]): readonly unknown[] {
  return tiles.flatMap(({ height, hash }) => [height, hash]);
}

/** @throws PeerloomError `wire/malformed` */
export function readTiles(fields: FieldReader): Tile[] {
  const flat = fields.list(2 * TILES_MAX, (item) => item);
  const items = new FieldReader(flat, "tiles");
  return Array.from({ length: Math.ceil(flat.length / 2) }, () => ({
    height: items.integer(0, HEIGHT_MAX - 1),
    hash: items.bytes(HASH_BYTES, HASH_BYTES),
  }));
}
