/** Memory of what passes through a socket: never `Buffer`s above, and a pool for what is written. */

/** Below this the pool is not worth its while. */
const POOLED_BYTES_MIN = 4096;

/** The same bytes without `Buffer`'s methods: its `slice` does not copy. */
export function plainView(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const SLAB_BYTES_MIN = 8192;
/** Idle slabs of each size; a socket has about eight frames under way. */
const SLABS_MAX = 8;
const slabs = new Map<number, Uint8Array[]>();

/** The pieces joined, and how to say that they have been written. */
export interface Joined {
  readonly bytes: Uint8Array;
  readonly written: (() => void) | undefined;
}

/** Joins pieces in memory that is used again when they have been written. */
export function joinPooled(parts: readonly Uint8Array[]): Joined {
  let length = 0;
  for (const part of parts) length += part.length;
  if (length < POOLED_BYTES_MIN)
    return { bytes: copyInto(Buffer.allocUnsafe(length), parts), written: undefined };
  let capacity = SLAB_BYTES_MIN;
  while (capacity < length) capacity *= 2;
  const idle = slabs.get(capacity) ?? [];
  slabs.set(capacity, idle);
  const slab = idle.pop() ?? new Uint8Array(capacity);
  return {
    bytes: copyInto(slab, parts).subarray(0, length),
    written: () => {
      if (idle.length < SLABS_MAX) idle.push(slab);
    },
  };
}

function copyInto(target: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  let offset = 0;
  for (const part of parts) {
    target.set(part, offset);
    offset += part.length;
  }
  return target;
}
