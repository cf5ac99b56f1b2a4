/**
 * A share: a content with its manifest and the hashes of its chunks, ready to be served. Making one reads everything
 * once; serving reads again what is asked for, so that memory does not depend on size.
 */
import { sha256, toHex } from "../../../shared/bytes.ts";
import type { HashProvider } from "../../runtime.ts";
import type { Content } from "./content.ts";
import { encodeManifest } from "./manifest.ts";
import { chunkBytesFor, chunkCount, HASH_BYTES } from "./chunks.ts";
import { LEAF_PREFIX, leafHash, merkleRoot } from "./merkle.ts";

/** Chunks read and hashed at once: enough for two cores and a disk. */
const HASHING_MAX = 4;

export interface ShareProgress {
  readonly bytes: number;
  readonly total: number;
}

/** What is served. */
export interface PreparedShare {
  readonly content: Content;
  readonly manifest: Uint8Array;
  /** SHA-256 of the manifest. */
  readonly hash: Uint8Array;
  readonly hashText: string;
  /** Hashes of all chunks, one after the other. */
  readonly layer: Uint8Array;
  readonly chunkBytes: number;
}

/** @throws PeerloomError `files/changed`, `files/unwritable`, or the signal's reason */
export async function prepareShare(
  hasher: HashProvider,
  content: Content,
  onProgress: (progress: ShareProgress) => void,
  signal: AbortSignal,
): Promise<PreparedShare> {
  const chunkBytes = chunkBytesFor(content.bytes);
  const count = chunkCount(content.bytes, chunkBytes);
  const layer = new Uint8Array(count * HASH_BYTES);
  let next = 0;
  let hashedBytes = 0;
  const work = async (): Promise<void> => {
    const prefixed = new Uint8Array(1 + Math.min(chunkBytes, content.bytes));
    prefixed[0] = LEAF_PREFIX;
    while (next < count) {
      signal.throwIfAborted();
      const index = next++;
      const offset = index * chunkBytes;
      const bytes = Math.min(chunkBytes, content.bytes - offset);
      await content.read(prefixed.subarray(1, 1 + bytes), offset);
      layer.set(await leafHash(prefixed.subarray(0, 1 + bytes)), index * HASH_BYTES);
      hashedBytes += bytes;
      onProgress({ bytes: hashedBytes, total: content.bytes });
    }
  };
  await Promise.all(Array.from({ length: Math.min(HASHING_MAX, count) }, work));
  const { kind, name, entries, bytes } = content;
  const manifest = encodeManifest({
    kind,
    name,
    entries,
    bytes,
    chunkBytes,
    root: await merkleRoot(hasher, layer),
  });
  const hash = await sha256(manifest);
  return { content, manifest, hash, hashText: toHex(hash), layer, chunkBytes };
}
