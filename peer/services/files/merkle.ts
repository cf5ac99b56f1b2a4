/**
 * The Merkle tree of a content: SHA-256, leaves and inner nodes told apart by a first byte as in RFC 6962 section 2.1.
 * The leaves are the chunks that are asked for, sent and verified one by one. SHA-256 because WebCrypto has it
 * everywhere, off the main thread and by hardware: 256 KiB at a time it is three times as fast as BLAKE3 in WebAssembly
 * would need to be for the fastest link we have, and no code has to be shipped for it.
 */
import { bufferSource } from "../../../shared/bytes.ts";
import type { HashProvider } from "../../runtime.ts";
import { HASH_BYTES } from "./chunks.ts";

/** Put before the bytes of a chunk. */
export const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;
const PAIR_BYTES: number = 2 * HASH_BYTES;
/** Hashed together where that is done by other threads. */
const PAIRS_AT_ONCE = 256;

/** @param prefixed the chunk with `LEAF_PREFIX` in the byte before it */
export async function leafHash(prefixed: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bufferSource(prefixed)));
}

/**
 * The root over chunk hashes. The last node of an odd row rises unchanged; no content at all has the hash of an empty
 * leaf.
 * @param hash for inner nodes: so short, they are hashed sooner on the spot than somewhere else
 * @param leaves hashes one after the other
 */
export async function merkleRoot(hash: HashProvider, leaves: Uint8Array): Promise<Uint8Array> {
  if (leaves.length === 0) return leafHash(Uint8Array.of(LEAF_PREFIX));
  let row = leaves;
  while (row.length > HASH_BYTES) row = await parents(hash, row);
  return row;
}

async function parents(hash: HashProvider, row: Uint8Array): Promise<Uint8Array> {
  const pairs = Math.floor(row.length / PAIR_BYTES);
  const above = new Uint8Array(Math.ceil(row.length / PAIR_BYTES) * HASH_BYTES);
  for (let from = 0; from < pairs; from += PAIRS_AT_ONCE) {
    const below = Math.min(from + PAIRS_AT_ONCE, pairs);
    const nodes = Array.from({ length: below - from }, async (_, i) => {
      const node = new Uint8Array(1 + PAIR_BYTES);
      node[0] = NODE_PREFIX;
      node.set(row.subarray((from + i) * PAIR_BYTES, (from + i + 1) * PAIR_BYTES), 1);
      above.set(await hash.sha256(node), (from + i) * HASH_BYTES);
    });
    await Promise.all(nodes);
  }
  // The one left over.
  above.set(row.subarray(pairs * PAIR_BYTES), pairs * HASH_BYTES);
  return above;
}
