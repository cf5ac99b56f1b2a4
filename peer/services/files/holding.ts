/**
 * What this peer has of one share, whole or while it grows, as it is served: manifest, chunk hashes, which chunks, and how they are
 * read. Where they lie may change underneath, when a download moves to its final name.
 */
import type { SwarmAccess } from "./access.ts";
import { Bitfield } from "./bitfield.ts";
import { GivenCounts } from "./given-counts.ts";
import type { Manifest } from "./manifest.ts";
import { Members } from "./members.ts";
import { chunkCount } from "./chunks.ts";
import type { PreparedShare } from "./share.ts";

/** Fills `into` with the content's bytes from `offset` on. */
export type ReadContent = (into: Uint8Array, offset: number) => Promise<void>;

export interface HoldingOptions {
  readonly access: SwarmAccess;
  readonly manifest: Uint8Array;
  /** Hashes of all chunks, one after the other. */
  readonly layer: Uint8Array;
  readonly bytes: number;
  readonly chunkBytes: number;
  readonly bits: Bitfield;
  readonly read: ReadContent;
}

export interface DownloadHolding extends Pick<HoldingOptions, "access" | "layer" | "read"> {
  readonly manifest: Manifest;
  readonly encoded: Uint8Array;
}

export class Holding {
  readonly access: SwarmAccess;
  readonly manifest: Uint8Array;
  readonly layer: Uint8Array;
  readonly bits: Bitfield;
  readonly members: Members = new Members();
  readonly given: GivenCounts;
  /** Chunks that were there once are there no longer. */
  forgets = false;
  readonly #bytes: number;
  readonly #chunkBytes: number;
  readonly #listeners = new Set<(index: number) => void>();
  readonly #endings = new Set<() => void>();
  #read: ReadContent;
  #readers = 0;
  #onIdle: (() => void) | undefined;
  #moving: Promise<void> | undefined;

  constructor({ access, manifest, layer, bytes, chunkBytes, bits, read }: HoldingOptions) {
    this.access = access;
    this.manifest = manifest;
    this.layer = layer;
    this.bits = bits;
    this.given = new GivenCounts(bits.count);
    this.#bytes = bytes;
    this.#chunkBytes = chunkBytes;
    this.#read = read;
  }

  static ofShare({ content, manifest, layer, chunkBytes }: PreparedShare, access: SwarmAccess): Holding {
    return new Holding({
      access,
      manifest,
      layer,
      bytes: content.bytes,
      chunkBytes,
      bits: Bitfield.full(chunkCount(content.bytes, chunkBytes)),
      read: (into, offset) => content.read(into, offset),
    });
  }

  /** Of a download, which has nothing yet. */
  static ofDownload({ manifest, encoded, ...rest }: DownloadHolding): Holding {
    const { bytes, chunkBytes } = manifest;
    const bits = new Bitfield(chunkCount(bytes, chunkBytes));
    return new Holding({ ...rest, manifest: encoded, bytes, chunkBytes, bits });
  }

  /** One more chunk can be read. */
  add(index: number): void {
    if (this.bits.add(index)) for (const listener of this.#listeners) listener(index);
  }

  /** A chunk can be read no longer. */
  delete(index: number): void {
    if (!this.bits.delete(index)) return;
    this.forgets = true;
    for (const listener of this.#listeners) listener(index);
  }

  /** Calls for each chunk that comes or goes. @returns ends it */
  watch(onChunk: (index: number) => void): () => void {
    this.#listeners.add(onChunk);
    return () => this.#listeners.delete(onChunk);
  }

  /** Calls when nothing is served any more. @returns ends it */
  onEnd(ended: () => void): () => void {
    this.#endings.add(ended);
    return () => this.#endings.delete(ended);
  }

  chunkLength(index: number): number {
    return Math.min(this.#chunkBytes, this.#bytes - index * this.#chunkBytes);
  }

  /** @throws PeerloomError `files/changed`, `files/not-found` */
  async chunk(index: number): Promise<Uint8Array> {
    await this.#moving;
    const bytes = new Uint8Array(this.chunkLength(index));
    this.#readers += 1;
    try {
      await this.#read(bytes, index * this.#chunkBytes);
    } finally {
      this.#readers -= 1;
      if (this.#readers === 0) this.#onIdle?.();
    }
    return bytes;
  }

  /**
   * Changes where the chunks lie while nobody reads them; who wants to waits.
   * @param move returns how they are read from then on
   * @throws what `move` throws
   */
  async move(move: () => Promise<ReadContent>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#moving = promise;
    try {
      if (this.#readers > 0) {
        await new Promise<void>((idle) => {
          this.#onIdle = idle;
        });
      }
      this.#read = await move();
    } finally {
      this.#moving = undefined;
      this.#onIdle = undefined;
      resolve();
    }
  }

  /** Ends the streams that are served from it. Twice is harmless. */
  end(): void {
    for (const ended of [...this.#endings]) ended();
    this.#endings.clear();
  }
}
