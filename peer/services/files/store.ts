/**
 * Where verified chunks go: into a part file beside the target, into memory, or straight to a reader. A part file is
 * named after what it holds and has a journal of the chunks written, so that another run goes on where this one was
 * killed; the final name appears only when everything is there and verified.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { FileHandle, FileSystem } from "../../runtime.ts";
import { pieces } from "./content.ts";
import type { Manifest } from "./manifest.ts";
import { chunkCount, HASH_BYTES, LEAF_PREFIX, leafHash } from "./merkle.ts";
import { OpenFiles } from "./open-files.ts";
import { equalBytes } from "../../../shared/bytes.ts";

export interface Store {
  /** Chunks that are there already, each verified again. */
  resume(
    layer: Uint8Array,
    onChunk: (index: number, bytes: number) => void,
    signal: AbortSignal,
  ): Promise<void>;
  /** Takes a verified chunk. Chunks come in any order, each once. */
  write(index: number, bytes: Uint8Array): Promise<void>;
  /** Only chunks below this index are of use now. */
  readonly below: number;
  /** Everything is there. */
  complete(): Promise<void>;
  /** Not everything will come. What is resumable stays. */
  abandon(error: PeerloomError): Promise<void>;
}

const JOURNAL_ENTRY_BYTES = 4;

export class PartStore implements Store {
  readonly below: number = Number.POSITIVE_INFINITY;
  readonly #files: FileSystem;
  readonly #manifest: Manifest;
  readonly #target: string;
  readonly #part: string;
  readonly #starts: number[] = [];
  readonly #open = new OpenFiles((index) => this.#openPart(index));
  #journal: FileHandle | undefined;
  #journalBytes = 0;

  /** @param hashText of the manifest: another content under the same name gets another part */
  constructor(files: FileSystem, manifest: Manifest, target: string, hashText: string) {
    this.#files = files;
    this.#manifest = manifest;
    this.#target = target;
    this.#part = `${target}.${hashText.slice(0, 16)}.part`;
    let start = 0;
    for (const { bytes } of manifest.entries) {
      this.#starts.push(start);
      start += bytes;
    }
  }

  async resume(
    layer: Uint8Array,
    onChunk: (index: number, bytes: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#requireRoom();
    const { chunkBytes, bytes } = this.#manifest;
    const written = await this.#readJournal(chunkCount(bytes, chunkBytes));
    const prefixed = new Uint8Array(1 + Math.min(chunkBytes, bytes));
    prefixed[0] = LEAF_PREFIX;
    for (const index of written) {
      signal.throwIfAborted();
      const offset = index * chunkBytes;
      const chunk = prefixed.subarray(0, 1 + Math.min(chunkBytes, bytes - offset));
      if (!(await this.#read(chunk.subarray(1), offset))) continue;
      const expected = layer.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
      if (equalBytes(await leafHash(chunk), expected)) onChunk(index, chunk.length - 1);
    }
  }

  async write(index: number, bytes: Uint8Array): Promise<void> {
    const offset = index * this.#manifest.chunkBytes;
    for (const piece of pieces(this.#manifest.entries, this.#starts, offset, bytes.length)) {
      const view = bytes.subarray(piece.at, piece.at + piece.bytes);
      await this.#open.use(piece.entry, (handle) => handle.write(view, piece.offset));
    }
    const entry = new Uint8Array(JOURNAL_ENTRY_BYTES);
    new DataView(entry.buffer).setUint32(0, index);
    const at = this.#journalBytes;
    this.#journalBytes += JOURNAL_ENTRY_BYTES;
    await this.#journal?.write(entry, at);
  }

  async complete(): Promise<void> {
    const { entries, kind } = this.#manifest;
    if (kind === "folder") await this.#files.makeDirectory(this.#part);
    for (const [index, entry] of entries.entries()) {
      // Empty files have no chunk that would have made them.
      await this.#open.use(index, async (handle) => {
        await handle.truncate(entry.bytes);
        await handle.sync();
      });
    }
    await this.#closeAll();
    if (await this.#files.exists(this.#target)) await this.#files.remove(this.#target);
    await this.#files.rename(this.#part, this.#target);
    await this.#files.remove(this.#journalPath);
  }

  async abandon(): Promise<void> {
    await this.#closeAll();
    if (this.#journalBytes === 0) {
      await this.#files.remove(this.#journalPath);
      await this.#files.remove(this.#part);
    }
  }

  get #journalPath(): string {
    return `${this.#part}.journal`;
  }

  async #requireRoom(): Promise<void> {
    const freeBytes = await this.#files.freeBytes(this.#target);
    const isThere = await this.#files.exists(this.#part);
    if (freeBytes !== undefined && !isThere && freeBytes < this.#manifest.bytes) {
      throw new PeerloomError(
        "files/disk-full",
        `${this.#manifest.bytes} bytes are to come and ${freeBytes} are free. Free some space, or choose another place with -o.`,
      );
    }
  }

  async #readJournal(count: number): Promise<readonly number[]> {
    const journal = await this.#files.open(this.#journalPath, "update");
    this.#journal = journal;
    const { bytes } = await this.#files.stat(this.#journalPath);
    const content = new Uint8Array(Math.min(bytes, count * JOURNAL_ENTRY_BYTES));
    await journal.read(content, 0);
    const view = new DataView(content.buffer);
    const written = new Set<number>();
    for (let at = 0; at + JOURNAL_ENTRY_BYTES <= content.length; at += JOURNAL_ENTRY_BYTES) {
      const index = view.getUint32(at);
      if (index < count) written.add(index);
    }
    this.#journalBytes = content.length - (content.length % JOURNAL_ENTRY_BYTES);
    return [...written];
  }

  async #read(into: Uint8Array, offset: number): Promise<boolean> {
    for (const piece of pieces(this.#manifest.entries, this.#starts, offset, into.length)) {
      const view = into.subarray(piece.at, piece.at + piece.bytes);
      const read = await this.#open.use(piece.entry, (handle) => handle.read(view, piece.offset));
      if (read < view.length) return false;
    }
    return true;
  }

  #pathOf(index: number): string {
    const path = this.#manifest.entries[index]?.path ?? "";
    return path === "" ? this.#part : this.#files.join(this.#part, ...path.split("/"));
  }

  async #openPart(index: number): Promise<FileHandle> {
    const path = this.#pathOf(index);
    const folders = (this.#manifest.entries[index]?.path ?? "").split("/").slice(0, -1);
    if (this.#manifest.kind === "folder")
      await this.#files.makeDirectory(this.#files.join(this.#part, ...folders));
    return this.#files.open(path, "update");
  }

  async #closeAll(): Promise<void> {
    await this.#open.close();
    await this.#journal?.close();
    this.#journal = undefined;
  }
}

/** Keeps everything in memory, for a Blob. */
export class MemoryStore implements Store {
  readonly below: number = Number.POSITIVE_INFINITY;
  readonly #chunks: Uint8Array<ArrayBuffer>[] = [];

  async resume(): Promise<void> {}

  async write(index: number, bytes: Uint8Array): Promise<void> {
    this.#chunks[index] = Uint8Array.from(bytes);
  }

  async complete(): Promise<void> {}

  async abandon(): Promise<void> {
    this.#chunks.length = 0;
  }

  blob(): Blob {
    return new Blob(this.#chunks);
  }
}

/** Chunks that may wait for an earlier one, or for the reader. */
const AHEAD_CHUNKS = 64;

/** Hands chunks to one reader, in order; what it does not read is not asked for. */
export class ReaderStore implements Store {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #ahead = new Map<number, Uint8Array>();
  readonly #onRead: () => void;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #next = 0;
  #wake: (() => void) | undefined;
  #isComplete = false;

  /** @param onRead more chunks are of use now; @param onCancel the reader has gone */
  constructor(onRead: () => void, onCancel: () => void) {
    this.#onRead = onRead;
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pull(),
        cancel: onCancel,
      },
      { highWaterMark: 0 },
    );
  }

  get below(): number {
    return this.#next + AHEAD_CHUNKS;
  }

  async resume(): Promise<void> {}

  async write(index: number, bytes: Uint8Array): Promise<void> {
    this.#ahead.set(index, bytes);
    if (index === this.#next) this.#wake?.();
  }

  async complete(): Promise<void> {
    this.#isComplete = true;
    this.#wake?.();
    if (this.#ahead.size === 0) this.#finish();
  }

  async abandon(error: PeerloomError): Promise<void> {
    this.#controller.error(error);
    this.#wake?.();
  }

  async #pull(): Promise<void> {
    if (!this.#ahead.has(this.#next) && !this.#isComplete) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    const bytes = this.#ahead.get(this.#next);
    if (bytes === undefined) return;
    this.#ahead.delete(this.#next);
    this.#next += 1;
    this.#controller.enqueue(bytes);
    this.#onRead();
    if (this.#isComplete && this.#ahead.size === 0) this.#finish();
  }

  #finish(): void {
    try {
      this.#controller.close();
    } catch {
      // Cancelled or closed before.
    }
  }
}
