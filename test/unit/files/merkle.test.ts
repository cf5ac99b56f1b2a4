/** Roots against a recursive definition of the same tree, and the sizes of chunks. */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { nodeHash } from "../../../peer/adapters/node/hash.ts";
import { webCryptoHash } from "../../../peer/adapters/web-crypto-hash.ts";
import {
  CHUNK_BYTES_MIN,
  chunkBytesFor,
  chunkCount,
  CHUNKS_MAX,
  CONTENT_BYTES_MAX,
} from "../../../peer/services/files/chunks.ts";
import { leafHash, merkleRoot } from "../../../peer/services/files/merkle.ts";
import { concatBytes, toHex, utf8 } from "../../../shared/bytes.ts";

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(
    createHash("sha256")
      .update(concatBytes(...parts))
      .digest(),
  );
}

const leaf = (index: number): Uint8Array => sha256(Uint8Array.of(0), utf8(`chunk ${index}`));

/** The last node of an odd row rises unchanged, so the left part is the largest power of two below the whole. */
function rootOf(leaves: readonly Uint8Array[]): Uint8Array {
  const [only] = leaves;
  if (leaves.length === 1 && only !== undefined) return only;
  const left = 2 ** Math.floor(Math.log2(leaves.length - 1));
  return sha256(Uint8Array.of(1), rootOf(leaves.slice(0, left)), rootOf(leaves.slice(left)));
}

test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 33, 100, 511, 1027])("the root over %i chunks", async (count) => {
  const leaves = Array.from({ length: count }, (_, index) => leaf(index));
  const root = await merkleRoot(nodeHash, concatBytes(...leaves));
  expect(toHex(root)).toBe(toHex(rootOf(leaves)));
  expect(await merkleRoot(webCryptoHash, concatBytes(...leaves))).toEqual(root);
  for (const index of [0, count >> 1, count - 1]) {
    const changed = concatBytes(...leaves);
    changed[index * 32] = (changed[index * 32] as number) ^ 1;
    expect(toHex(await merkleRoot(nodeHash, changed))).not.toBe(toHex(root));
  }
});

test("no content has the root of an empty leaf", async () => {
  expect(toHex(await merkleRoot(webCryptoHash, new Uint8Array(0)))).toBe(toHex(sha256(Uint8Array.of(0))));
  expect(await leafHash(concatBytes(Uint8Array.of(0), utf8("chunk 7")))).toEqual(leaf(7));
});

test("chunks double with the content, so that their hashes stay few", () => {
  expect(chunkBytesFor(0)).toBe(CHUNK_BYTES_MIN);
  expect(chunkBytesFor(CHUNK_BYTES_MIN * CHUNKS_MAX)).toBe(CHUNK_BYTES_MIN);
  expect(chunkBytesFor(CHUNK_BYTES_MIN * CHUNKS_MAX + 1)).toBe(2 * CHUNK_BYTES_MIN);
  expect(chunkCount(CONTENT_BYTES_MAX, chunkBytesFor(CONTENT_BYTES_MAX))).toBe(CHUNKS_MAX);
  expect(chunkCount(0, CHUNK_BYTES_MIN)).toBe(0);
  expect(chunkCount(CHUNK_BYTES_MIN + 1, CHUNK_BYTES_MIN)).toBe(2);
});
