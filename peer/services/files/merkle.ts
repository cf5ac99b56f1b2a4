/**
 * The Merkle tree of a content: SHA-256, leaves and inner nodes told apart by a first byte as in RFC 6962 section 2.1.
 * The leaves are the chunks that are asked for, sent and verified one by one. SHA-256 because WebCrypto has it
 * everywhere, off the main thread and by hardware: 256 KiB at a time it is three times as fast as BLAKE3 in WebAssembly
 * would need to be for the fastest link we have, and no code has to be shipped for it.
 */
import { bufferSource } from "../../../shared/bytes.ts";

export const HASH_BYTES = 32;
/** Put before the bytes of a chunk. */
export const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;

/** A content up to 16 GiB has chunks of this size. */
export const CHUNK_BYTES_MIN: number = 256 * 1024;
/** Larger ones have larger chunks, so that the list of their hashes stays below 2 MiB. */
export const CHUNKS_MAX = 65_536;
/** 1 TiB: 65,536 chunks of 16 MiB. */
export const CONTENT_BYTES_MAX: number = 1024 ** 4;

export function chunkBytesFor(contentBytes: number): number {
  let chunkBytes = CHUNK_BYTES_MIN;
  while (contentBytes > chunkBytes * CHUNKS_MAX) chunkBytes *= 2;
  return chunkBytes;
}

export function chunkCount(contentBytes: number, chunkBytes: number): number {
  return Math.ceil(contentBytes / chunkBytes);
}

/** @param prefixed the chunk with `LEAF_PREFIX` in the byte before it */
export async function leafHash(prefixed: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bufferSource(prefixed)));
}

/**
 * The root over chunk hashes. The last node of an odd row rises unchanged; no content at all has the hash of an empty
 * leaf.
 * @param leaves hashes one after the other
 */
export async function merkleRoot(leaves: Uint8Array): Promise<Uint8Array> {
  if (leaves.length === 0) return leafHash(Uint8Array.of(LEAF_PREFIX));
  let row = leaves;
  while (row.length > HASH_BYTES) row = await parents(row);
  return row;
}

async function parents(row: Uint8Array): Promise<Uint8Array> {
  const pairs = Math.floor(row.length / (2 * HASH_BYTES));
  const isOdd = row.length % (2 * HASH_BYTES) !== 0;
  const above = new Uint8Array((pairs + (isOdd ? 1 : 0)) * HASH_BYTES);
  const node = new Uint8Array(1 + 2 * HASH_BYTES);
  node[0] = NODE_PREFIX;
  for (let pair = 0; pair < pairs; pair++) {
    node.set(row.subarray(pair * 2 * HASH_BYTES, (pair + 1) * 2 * HASH_BYTES), 1);
    above.set(new Uint8Array(await crypto.subtle.digest("SHA-256", node)), pair * HASH_BYTES);
  }
  if (isOdd) above.set(row.subarray(row.length - HASH_BYTES), pairs * HASH_BYTES);
  return above;
}
