/** Chunks that an earlier run is said to have left, each read and verified again. */
import { equalBytes } from "../../../shared/bytes.ts";
import type { Manifest } from "./manifest.ts";
import { HASH_BYTES } from "./chunks.ts";
import { LEAF_PREFIX, leafHash } from "./merkle.ts";

export interface KeptChunks {
  readonly manifest: Manifest;
  /** Hashes of all chunks, one after the other. */
  readonly layer: Uint8Array;
  readonly signal: AbortSignal;
  /** Fills `into` from `offset` of the content on. @returns false when there is less */
  read(into: Uint8Array, offset: number): Promise<boolean | void>;
}

/** @throws the signal's reason, and what `read` and `onChunk` throw */
export async function verifyKept(
  { manifest: { chunkBytes, bytes }, layer, signal, read }: KeptChunks,
  indexes: readonly number[],
  onChunk: (index: number, isRight: boolean) => void,
): Promise<void> {
  const prefixed = new Uint8Array(1 + Math.min(chunkBytes, bytes));
  prefixed[0] = LEAF_PREFIX;
  for (const index of indexes) {
    signal.throwIfAborted();
    const offset = index * chunkBytes;
    const chunk = prefixed.subarray(0, 1 + Math.min(chunkBytes, bytes - offset));
    const expected = layer.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
    const isThere = (await read(chunk.subarray(1), offset)) !== false;
    onChunk(index, isThere && equalBytes(await leafHash(chunk), expected));
  }
}
