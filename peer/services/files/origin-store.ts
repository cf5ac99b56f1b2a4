/**
 * Chunks in a file of a page's origin, at their places; behind the content, until all of it is there, a bit for each that was written, so that another visit goes
 * on where this one ended. Whatever part of a share is wanted, it is one file.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { OriginFile } from "../../runtime.ts";
import { Bitfield } from "./bitfield.ts";
import type { ReadContent } from "./holding.ts";
import { verifyKept } from "./kept-chunks.ts";
import type { Manifest } from "./manifest.ts";
import { chunkCount } from "./chunks.ts";
import type { Selection } from "./selection.ts";
import type { Store } from "./store.ts";

export class OriginStore implements Store {
  readonly window: undefined = undefined;
  readonly isAwaited: boolean = true;
  readonly read: ReadContent;
  readonly manifest: Manifest;
  readonly selection: Selection;
  readonly #file: OriginFile;
  /** Of the share's chunks, those that are right. */
  readonly #bits: Bitfield;
  /** What an earlier visit has left is known. */
  #isResumed = false;
  /** The bits stand behind the content. */
  #hasBits = false;
  #finished: File | undefined;

  constructor(file: OriginFile, manifest: Manifest, selection: Selection) {
    this.#file = file;
    this.manifest = manifest;
    this.selection = selection;
    this.#bits = new Bitfield(chunkCount(manifest.bytes, manifest.chunkBytes));
    this.read = reading(file);
  }

  async resume(layer: Uint8Array, onChunk: (index: number) => void, signal: AbortSignal): Promise<void> {
    const written = await this.#written();
    const read = async (into: Uint8Array, offset: number): Promise<boolean> =>
      (await this.#file.read(into, offset)) === into.length;
    await verifyKept({ manifest: this.manifest, layer, read, signal }, written, (index, isRight) => {
      if (!isRight) return;
      this.#bits.add(index);
      if (this.selection.chunks.has(index)) onChunk(index);
    });
    this.#isResumed = true;
    // What is whole others may be reading, and it must not change under them.
    if (this.#bits.isFull && this.#file.bytes === this.manifest.bytes) return;
    this.#hasBits = true;
    await this.#file.write(this.#bits.toBytes(), this.manifest.bytes);
  }

  async write(index: number, bytes: Uint8Array): Promise<void> {
    const { chunkBytes, bytes: end } = this.manifest;
    await this.#file.write(bytes, index * chunkBytes);
    this.#bits.add(index);
    const at = index >> 3;
    await this.#file.write(
      this.#bits
        .toBytes()
        .subarray(at, at + 1)
        .slice(),
      end + at,
    );
  }

  holds(): boolean {
    return true;
  }

  async complete(): Promise<void> {
    if (this.#hasBits && this.#bits.isFull) await this.#file.truncate(this.manifest.bytes);
    this.#finished = await this.#file.finish();
  }

  /** On a full disk it would be in the way. */
  async abandon({ code }: PeerloomError): Promise<void> {
    const isUseless = this.#isResumed && this.#bits.size === 0;
    await (isUseless || code === "files/disk-full" ? this.#file.remove() : this.#file.close());
  }

  /** The page has it for as long as it wants, whether it is served or not. */
  async close(): Promise<void> {}

  /** Once it is complete: what was wanted, one behind the other. */
  content(): Blob {
    const { chunkBytes } = this.manifest;
    const all = this.#finished as File;
    if (this.selection.isAll) return all;
    return new Blob(
      Array.from({ length: this.#bits.count }, (_, index) =>
        this.selection
          .slices(index)
          .map(({ start, end }) => all.slice(index * chunkBytes + start, index * chunkBytes + end)),
      ).flat(),
    );
  }

  async #written(): Promise<readonly number[]> {
    const { count } = this.#bits;
    const bits = await this.#readBits();
    return Array.from({ length: count }, (_, index) => index).filter((index) => bits?.has(index));
  }

  async #readBits(): Promise<Bitfield | undefined> {
    const { count } = this.#bits;
    const { bytes } = this.manifest;
    if (this.#file.bytes === bytes) return Bitfield.full(count);
    const said = new Uint8Array(Math.ceil(count / 8));
    await this.#file.read(said, bytes);
    return Bitfield.from(said, count);
  }
}

/** Reads a file of a page's origin as content. */
export function reading(file: OriginFile): ReadContent {
  return async (into, offset) => {
    if ((await file.read(into, offset)) < into.length)
      throw new PeerloomError("files/changed", "What was fetched is not there any more.");
  };
}
