/** How a content is cut into chunks. A ticket is read with this alone, so it is apart from the tree over them. */

/** SHA-256, of a chunk or a node. */
export const HASH_BYTES = 32;

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
