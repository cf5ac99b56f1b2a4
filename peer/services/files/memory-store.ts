/** Keeps everything in memory, for a Blob. */
import { bufferSource } from "../../../shared/bytes.ts";
import type { Manifest } from "./manifest.ts";
import type { Selection } from "./selection.ts";
import type { Store } from "./store.ts";

export class MemoryStore implements Store {
  readonly window: undefined = undefined;
  readonly isAwaited: boolean = true;
  readonly manifest: Manifest;
  readonly selection: Selection;
  readonly #chunks: Uint8Array<ArrayBuffer>[] = [];

  constructor(manifest: Manifest, selection: Selection) {
    this.manifest = manifest;
    this.selection = selection;
  }

  async resume(): Promise<void> {}

  async write(index: number, bytes: Uint8Array): Promise<void> {
    this.#chunks[index] = bufferSource(bytes);
  }

  holds(): boolean {
    return true;
  }

  /** One chunk at a time, as they are served. */
  readonly read = async (into: Uint8Array, offset: number): Promise<void> => {
    const chunk = this.#chunks[offset / this.manifest.chunkBytes];
    if (chunk !== undefined) into.set(chunk);
  };

  async complete(): Promise<void> {}

  async abandon(): Promise<void> {
    this.#chunks.length = 0;
  }

  async close(): Promise<void> {}

  blob(): Blob {
    const parts = this.#chunks.flatMap((chunk, index) =>
      this.selection.slices(index).map(({ start, end }) => chunk.subarray(start, end)),
    );
    return new Blob(parts);
  }
}
