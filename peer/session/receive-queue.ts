/**
 * What has come on a stream and was not read yet, in the pieces that it came in. Small ones are joined: each would take more memory than its
 * bytes, and only those are counted.
 */
import { giveBack } from "../../shared/bytes.ts";

const JOINED_BYTES = 4 * 1024;

export class ReceiveQueue {
  readonly #pieces: Uint8Array[] = [];
  /** What the last piece was joined in. */
  #joined: Uint8Array | undefined;
  #length = 0;

  /** Bytes in it. */
  get length(): number {
    return this.#length;
  }

  /** The memory belongs to the queue from now on. */
  push(bytes: Uint8Array): void {
    this.#length += bytes.length;
    const last = this.#pieces.at(-1);
    const mayStay = last === undefined || bytes.length >= JOINED_BYTES;
    if (mayStay || !this.#join(last, bytes)) {
      // Reading takes memory over whole: only what is most of its frame's can have it, and a few bytes must not keep it.
      this.#pieces.push(mayStay && bytes.length * 2 > bytes.buffer.byteLength ? bytes : bytes.slice());
      this.#joined = undefined;
    }
  }

  /** The oldest piece. */
  shift(): Uint8Array | undefined {
    const bytes = this.#pieces.shift();
    this.#length -= bytes?.length ?? 0;
    return bytes;
  }

  /** Moves as much as there is. @returns bytes moved */
  fill(target: Uint8Array): number {
    let filled = 0;
    for (
      let bytes = this.#pieces[0];
      bytes !== undefined && filled < target.length;
      bytes = this.#pieces[0]
    ) {
      const count = Math.min(bytes.length, target.length - filled);
      target.set(bytes.subarray(0, count), filled);
      filled += count;
      if (count < bytes.length) this.#pieces[0] = bytes.subarray(count);
      else {
        this.#pieces.shift();
        giveBack(new Uint8Array(bytes.buffer));
      }
    }
    this.#length -= filled;
    return filled;
  }

  clear(): void {
    this.#pieces.length = 0;
    this.#length = 0;
  }

  /** @returns false when there is no room behind the last piece */
  #join(last: Uint8Array, bytes: Uint8Array): boolean {
    const start = this.#joined === undefined ? 0 : last.byteOffset;
    const end = start + last.length;
    if (end + bytes.length > JOINED_BYTES) return false;
    if (this.#joined === undefined) {
      this.#joined = new Uint8Array(JOINED_BYTES);
      this.#joined.set(last);
    }
    this.#joined.set(bytes, end);
    this.#pieces[this.#pieces.length - 1] = this.#joined.subarray(start, end + bytes.length);
    return true;
  }
}
