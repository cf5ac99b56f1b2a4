/**
 * Chosen files that stand at the target already, as after a download that was run again: they are verified as a part is, and never written to.
 * A chunk that reaches into a file that was not chosen cannot be verified from them; it is fetched, and what was chosen of it compared.
 */
import { equalBytes } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { FileSystem } from "../../runtime.ts";
import { type Content, placedContent } from "./content.ts";
import type { ReadContent } from "./holding.ts";
import { verifyKept } from "./kept-chunks.ts";
import type { Manifest } from "./manifest.ts";
import type { Selection } from "./selection.ts";
import type { Store } from "./store.ts";

export interface PlacedStoreOptions {
  readonly files: FileSystem;
  readonly manifest: Manifest;
  readonly selection: Selection;
  readonly target: string;
}

export class PlacedStore implements Store {
  readonly window: undefined = undefined;
  readonly isAwaited: boolean = true;
  readonly #options: PlacedStoreOptions;
  #content: Content | undefined;

  constructor(options: PlacedStoreOptions) {
    this.#options = options;
  }

  /** @throws PeerloomError `files/exists`: what stands there is not what was chosen */
  async resume(layer: Uint8Array, onChunk: (index: number) => void, signal: AbortSignal): Promise<void> {
    const { files, manifest, selection, target } = this.#options;
    this.#content = await placedContent(files, manifest, (entry) => selection.hasEntry(entry), target);
    if (this.#content === undefined) throw this.#different();
    const indexes = Array.from({ length: selection.chunks.count }, (_, index) => index);
    const kept = indexes.filter((index) => selection.chunks.has(index) && this.holds(index));
    await verifyKept({ manifest, layer, read: this.read, signal }, kept, (index, isRight) => {
      if (!isRight) throw this.#different();
      onChunk(index);
    });
  }

  async write(index: number, bytes: Uint8Array): Promise<void> {
    const { manifest, selection } = this.#options;
    for (const { start, end } of selection.slices(index)) {
      const there = new Uint8Array(end - start);
      await this.read(there, index * manifest.chunkBytes + start);
      if (!equalBytes(there, bytes.subarray(start, end))) throw this.#different();
    }
  }

  holds(index: number): boolean {
    const { manifest, selection } = this.#options;
    const length = Math.min(manifest.chunkBytes, manifest.bytes - index * manifest.chunkBytes);
    return selection.bytesOf(index) === length;
  }

  readonly read: ReadContent = async (into, offset) => {
    await this.#content?.read(into, offset);
  };

  async complete(): Promise<void> {}

  abandon(): Promise<void> {
    return this.close();
  }

  async close(): Promise<void> {
    await this.#content?.close();
  }

  #different(): PeerloomError {
    return new PeerloomError(
      "files/exists",
      `${this.#options.target} is there already, and what was chosen is not all in it. Choose another name with -o.`,
    );
  }
}
