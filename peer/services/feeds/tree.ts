/**
 * The Merkle tree over one writer's entries, as RFC 6962 section 2.1 builds it: leaves and inner nodes told apart by a first
 * byte, the largest power of two to the left. It only grows, so its complete parts, the *tiles*, never change; one signed root
 * certifies all entries, and any range of them is proved by the tiles to its left and right.
 * Hashing goes row by row, all of a row at once: where the host hashes elsewhere (browsers) that is ten times as fast.
 */
import { concatBytes, equalBytes } from "../../../shared/bytes.ts";
import { assert } from "../../../shared/errors.ts";
import type { HashProvider } from "../../runtime.ts";

export const HASH_BYTES = 32;
/** Of one log; heights stay below this. */
export const HEIGHT_MAX = 31;
const LEAF_PREFIX = 0;
const NODE_PREFIX = 1;
const ROW_HASHES_MIN = 64;

/** The root of a complete subtree of 2^height leaves. Where it stands follows from what is before it. */
export interface Tile {
  readonly height: number;
  readonly hash: Uint8Array;
}

export class MerkleTree {
  readonly #hash: HashProvider;
  /** Row 0 has the leaves, row h the roots of complete subtrees of 2^h of them. */
  readonly #rows: HashRow[] = [new HashRow()];

  constructor(hash: HashProvider) {
    this.#hash = hash;
  }

  get length(): number {
    return this.#row(0).length;
  }

  leaf(index: number): Uint8Array {
    return this.#row(0).at(index);
  }

  /**
   * Hashes what further leaves make of the tree, which stays as it is until the function returned is called: readers never see
   * half of a change. One at a time.
   */
  async prepare(leaves: readonly Uint8Array[]): Promise<() => void> {
    const grown: (readonly Uint8Array[])[] = [];
    for (let height = 0, added = leaves; added.length > 0; height++) {
      grown.push(added);
      const row = (this.#rows[height] ??= new HashRow());
      // A node without a sibling waits in its row for the one that now comes.
      const odd = row.length % 2 === 1 ? [row.at(row.length - 1)] : [];
      added = await nodesOver(this.#hash, [...odd, ...added]);
    }
    return () => {
      for (const [height, added] of grown.entries()) for (const each of added) this.#row(height).push(each);
    };
  }

  /** The largest tiles that cover entries from `from` to before `to`, left to right. */
  cover(from: number, to: number): Tile[] {
    assert(from <= to && to <= this.length, "tiles are of entries that are there");
    const tiles: Tile[] = [];
    for (let at = from; at < to;) {
      let height = 0;
      while (at % 2 ** (height + 1) === 0 && at + 2 ** (height + 1) <= to) height += 1;
      tiles.push({ height, hash: this.#row(height).at(at / 2 ** height) });
      at += 2 ** height;
    }
    return tiles;
  }

  /** The root over the first entries. */
  rootAt(length: number): Promise<Uint8Array> {
    return rootOf(this.#hash, this.cover(0, length));
  }

  #row(height: number): HashRow {
    return this.#rows[height] as HashRow;
  }
}

export async function leafHashes(
  hash: HashProvider,
  entries: readonly Uint8Array[],
): Promise<readonly Uint8Array[]> {
  return hashAll(hash, LEAF_PREFIX, entries);
}

/** The largest tiles over some leaves that begin at `from`. */
export async function tilesOver(
  hash: HashProvider,
  from: number,
  leaves: readonly Uint8Array[],
): Promise<Tile[]> {
  const left: Tile[] = [];
  const right: Tile[] = [];
  let row = leaves;
  for (let start = from, height = 0; row.length > 0; height++) {
    if (start % 2 === 1) {
      left.push({ height, hash: row[0] as Uint8Array });
      row = row.slice(1);
      start += 1;
    }
    if (row.length % 2 === 1) {
      right.push({ height, hash: row.at(-1) as Uint8Array });
      row = row.slice(0, -1);
    }
    row = await nodesOver(hash, row);
    start /= 2;
  }
  return [...left, ...right.reverse()];
}

/**
 * Joins tiles from the first entry on into the fewest. Undefined when one stands where none of its height can.
 */
export async function peaksOf(hash: HashProvider, tiles: readonly Tile[]): Promise<Tile[] | undefined> {
  const peaks: Tile[] = [];
  let end = 0;
  for (const tile of tiles) {
    if (tile.height >= HEIGHT_MAX || end % 2 ** tile.height !== 0) return undefined;
    end += 2 ** tile.height;
    let top = tile;
    for (let left = peaks.at(-1); left?.height === top.height; left = peaks.at(-1)) {
      peaks.pop();
      top = { height: top.height + 1, hash: await nodeHash(hash, left.hash, top.hash) };
    }
    peaks.push(top);
  }
  return peaks;
}

/** @param peaks the fewest tiles over all entries, at least one */
export async function rootOf(hash: HashProvider, peaks: readonly Tile[]): Promise<Uint8Array> {
  const last = peaks.at(-1);
  assert(last !== undefined, "a root is over one entry at least");
  let root = last.hash;
  for (let i = peaks.length - 2; i >= 0; i--) root = await nodeHash(hash, (peaks[i] as Tile).hash, root);
  return root;
}

/** How many entries lie under tiles. */
export function leavesUnder(tiles: readonly Tile[]): number {
  return tiles.reduce((sum, { height }) => sum + 2 ** height, 0);
}

export function equalTiles(a: readonly Tile[], b: readonly Tile[]): boolean {
  return (
    a.length === b.length &&
    a.every((tile, i) => tile.height === b[i]?.height && equalBytes(tile.hash, b[i].hash))
  );
}

/** The nodes over pairs; one left over has none. */
function nodesOver(hash: HashProvider, row: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
  const pairs: Uint8Array[] = [];
  for (let i = 0; i + 1 < row.length; i += 2)
    pairs.push(concatBytes(row[i] as Uint8Array, row[i + 1] as Uint8Array));
  return hashAll(hash, NODE_PREFIX, pairs);
}

async function nodeHash(hash: HashProvider, left: Uint8Array, right: Uint8Array): Promise<Uint8Array> {
  return hash.sha256(concatBytes(Uint8Array.of(NODE_PREFIX), left, right));
}

async function hashAll(
  hash: HashProvider,
  prefix: number,
  parts: readonly Uint8Array[],
): Promise<readonly Uint8Array[]> {
  const hashes: Uint8Array[] = [];
  const later: Promise<Uint8Array>[] = [];
  for (const part of parts) {
    const input = new Uint8Array(1 + part.length);
    input[0] = prefix;
    input.set(part, 1);
    const each = hash.sha256(input);
    if (each instanceof Promise) later.push(each);
    else hashes.push(each);
  }
  return later.length > 0 ? Promise.all(later) : hashes;
}

/** Hashes one behind the other in one piece of memory that doubles. */
class HashRow {
  #bytes: Uint8Array = new Uint8Array(ROW_HASHES_MIN * HASH_BYTES);
  length = 0;

  push(hash: Uint8Array): void {
    const at = this.length * HASH_BYTES;
    if (at === this.#bytes.length) {
      const grown = new Uint8Array(2 * at);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(hash, at);
    this.length += 1;
  }

  /** A copy. */
  at(index: number): Uint8Array {
    assert(index >= 0 && index < this.length, "a hash is asked for that is there");
    return this.#bytes.slice(index * HASH_BYTES, (index + 1) * HASH_BYTES);
  }
}
