/** A file of a page's origin, in memory: what is written takes its memory along, as the browser's does. */
import type { OriginFile } from "../../../peer/runtime.ts";

export class KeptFile {
  content: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  isThere = true;

  open(): OriginFile {
    const isLet = async (): Promise<void> => {};
    return {
      bytes: this.content.length,
      read: async (into, offset) => {
        const found = this.content.subarray(offset, offset + into.length);
        into.set(found);
        return found.length;
      },
      write: async (bytes, offset) => {
        if (offset + bytes.length > this.content.length) await this.#resize(offset + bytes.length);
        this.content.set(bytes, offset);
        (bytes.buffer as ArrayBuffer).transfer(0);
      },
      truncate: (bytes) => this.#resize(bytes),
      finish: async () => new File([this.content], "kept"),
      close: isLet,
      remove: async () => {
        this.isThere = false;
      },
    };
  }

  async #resize(bytes: number): Promise<void> {
    const resized = new Uint8Array(bytes);
    resized.set(this.content.subarray(0, bytes));
    this.content = resized;
  }
}
