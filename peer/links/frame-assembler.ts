/**
 * Frames out of a byte stream: a 4-byte big-endian length before each. A frame that lies whole in what was read is
 * handed on as a view; only one cut in two is put together in a buffer that is used again and again.
 */
import { readUint32 } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";

export const LENGTH_BYTES = 4;
const FIRST_BUFFER_BYTES = 4096;

export class FrameAssembler {
  readonly #frameBytesMax: number;
  #partial: Uint8Array = new Uint8Array(FIRST_BUFFER_BYTES);
  #filled = 0;

  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax;
  }

  /**
   * Calls `each` for every frame that is complete now; the memory is valid during that call only.
   * @throws PeerloomError `link/frame-too-large`, `wire/malformed` (a frame of no bytes)
   */
  add(bytes: Uint8Array, each: (frame: Uint8Array) => void): void {
    let offset = 0;
    while (offset < bytes.length) {
      if (this.#filled === 0 && bytes.length - offset >= LENGTH_BYTES) {
        const end = offset + LENGTH_BYTES + this.#length(bytes, offset);
        if (end <= bytes.length) {
          each(bytes.subarray(offset + LENGTH_BYTES, end));
          offset = end;
          continue;
        }
      }
      offset += this.#fill(bytes, offset, each);
    }
  }

  #fill(bytes: Uint8Array, offset: number, each: (frame: Uint8Array) => void): number {
    const needed = this.#filled < LENGTH_BYTES ? LENGTH_BYTES : LENGTH_BYTES + this.#length(this.#partial, 0);
    const count = Math.min(needed - this.#filled, bytes.length - offset);
    if (needed > this.#partial.length) {
      const grown = new Uint8Array(needed);
      grown.set(this.#partial.subarray(0, this.#filled));
      this.#partial = grown;
    }
    this.#partial.set(bytes.subarray(offset, offset + count), this.#filled);
    this.#filled += count;
    if (needed > LENGTH_BYTES && this.#filled === needed) {
      this.#filled = 0;
      each(this.#partial.subarray(LENGTH_BYTES, needed));
    }
    return count;
  }

  #length(bytes: Uint8Array, offset: number): number {
    const length = readUint32(bytes, offset);
    if (length === 0) throw new PeerloomError("wire/malformed", "A frame of no bytes.");
    if (length > this.#frameBytesMax) {
      throw new PeerloomError(
        "link/frame-too-large",
        `A frame of ${length} bytes; at most ${this.#frameBytesMax} are allowed.`,
      );
    }
    return length;
  }
}
