/**
 * Chunks on disk: in a part file beside the target, named after what it holds, with a journal of the chunks written, so
 * that another run goes on where this one was killed; the final name appears only when everything is there and verified.
 */
import { giveBack } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { FileHandle, FileSystem } from "../../runtime.ts";
import { type Piece, pieces } from "./content.ts";
import { verifyKept } from "./kept-chunks.ts";
import type { Manifest } from "./manifest.ts";
import { chunkCount } from "./chunks.ts";
import { OpenFiles } from "./open-files.ts";
import type { Selection } from "./selection.ts";
import type { Store } from "./store.ts";
import { WriteBack } from "./write-back.ts";

const JOURNAL_ENTRY_BYTES = 4;

export interface PartStoreOptions {
  readonly files: FileSystem;
  readonly manifest: Manifest;
  readonly selection: Selection;
  readonly target: string;
  /** Of the manifest: another content under the same name gets another part. */
  readonly hashText: string;
  /** What stands at the target is replaced, if it is of the same kind. */
  readonly overwrite: boolean;
}

export class PartStore implements Store {
  readonly window: undefined = undefined;
  readonly isAwaited: boolean = true;
  readonly #files: FileSystem;
  readonly #manifest: Manifest;
  readonly #selection: Selection;
  readonly #target: string;
  readonly #part: string;
  readonly #lock: string;
  readonly #overwrite: boolean;
  readonly #starts: number[] = [];
  readonly #open = new OpenFiles((index) => this.#openPart(index));
  readonly #writeBack = new WriteBack();
  #journal: FileHandle | undefined;
  /** Undefined until the journal was read: what an earlier run has left is not known before. */
  #journalBytes: number | undefined;
  #unlock: (() => Promise<void>) | undefined;
  /** When each file was written last; known once all is complete. */
  #modifiedMs: Map<number, number> | undefined;

  constructor({ files, manifest, selection, target, hashText, overwrite }: PartStoreOptions) {
    this.#files = files;
    this.#manifest = manifest;
    this.#selection = selection;
    this.#target = target;
    this.#overwrite = overwrite;
    const base = `${target}.${hashText.slice(0, 16)}${selection.tag}`;
    this.#part = `${base}.part`;
    this.#lock = `${base}.lock`;
    let start = 0;
    for (const { bytes } of manifest.entries) {
      this.#starts.push(start);
      start += bytes;
    }
  }

  async resume(layer: Uint8Array, onChunk: (index: number) => void, signal: AbortSignal): Promise<void> {
    this.#unlock = await this.#files.lock(this.#lock);
    await this.#requirePlace();
    await this.#requireRoom();
    const { chunkBytes, bytes } = this.#manifest;
    const written = await this.#readJournal(chunkCount(bytes, chunkBytes));
    const kept = written.filter((index) => this.holds(index));
    const read = (into: Uint8Array, offset: number): Promise<boolean> => this.#tryRead(into, offset);
    await verifyKept({ manifest: this.#manifest, layer, read, signal }, kept, (index, isRight) => {
      if (isRight) onChunk(index);
    });
  }

  async write(index: number, bytes: Uint8Array): Promise<void> {
    for (const piece of this.#pieces(index)) {
      if (!this.#selection.hasEntry(piece.entry)) continue;
      const view = bytes.subarray(piece.at, piece.at + piece.bytes);
      await this.#open.use(piece.entry, (handle) => handle.write(view, piece.offset));
      this.#writeBack.wrote(view.length, () => this.#open.use(piece.entry, (handle) => handle.sync()));
    }
    giveBack(new Uint8Array(bytes.buffer));
    const entry = new Uint8Array(JOURNAL_ENTRY_BYTES);
    new DataView(entry.buffer).setUint32(0, index);
    const at = this.#journalBytes ?? 0;
    this.#journalBytes = at + JOURNAL_ENTRY_BYTES;
    await this.#journal?.write(entry, at);
  }

  /** Chunks that reach into a file that is not wanted are not kept whole. */
  holds(index: number): boolean {
    return this.#pieces(index).every(({ entry }) => this.#selection.hasEntry(entry));
  }

  readonly read = async (into: Uint8Array, offset: number): Promise<void> => {
    if (!(await this.#tryRead(into, offset))) throw this.#changed();
  };

  async complete(): Promise<void> {
    const { entries, kind } = this.#manifest;
    await this.#writeBack.settled();
    if (kind === "folder") await this.#files.makeDirectory(this.#part);
    for (const [index, entry] of entries.entries()) {
      if (!this.#selection.hasEntry(index)) continue;
      // Empty files have no chunk that would have made them.
      await this.#open.use(index, async (handle) => {
        await handle.truncate(entry.bytes);
        await handle.sync();
      });
    }
    await this.#closeAll();
    await this.#place();
    await this.#files.remove(this.#journalPath);
    await this.#release();
    this.#modifiedMs = new Map();
    for (const index of entries.keys()) {
      if (!this.#selection.hasEntry(index)) continue;
      this.#modifiedMs.set(index, (await this.#files.stat(this.#pathOf(index, this.#target))).modifiedMs);
    }
  }

  close(): Promise<void> {
    return this.#closeAll();
  }

  async abandon(): Promise<void> {
    await this.#closeAll();
    if (this.#journalBytes === 0) {
      await this.#files.remove(this.#journalPath);
      await this.#files.remove(this.#part);
    }
    await this.#release();
  }

  get #journalPath(): string {
    return `${this.#part}.journal`;
  }

  async #release(): Promise<void> {
    await this.#unlock?.();
    this.#unlock = undefined;
  }

  /** Before anything is fetched for what cannot be put there. */
  async #requirePlace(): Promise<void> {
    if (!(await this.#files.exists(this.#target))) return;
    const isFolder = (await this.#files.stat(this.#target)).kind === "directory";
    if (isFolder === (this.#manifest.kind === "folder") && this.#overwrite) return;
    throw new PeerloomError(
      "files/exists",
      `${this.#target} is there already, ${isFolder ? "a folder" : "a file"}, and is not replaced by this ${this.#manifest.kind}. Choose another name with -o.`,
    );
  }

  /** Gives the part its final name. Only what was asked to be replaced is, and a run cut off half-way loses neither. */
  async #place(): Promise<void> {
    const files = this.#files;
    if (!this.#overwrite) await files.rename(this.#part, this.#target);
    else if (this.#manifest.kind === "file") await files.replace(this.#part, this.#target);
    else await this.#placeFolder(`${this.#part}.old`);
  }

  /** @param aside where the old folder waits; a run that was cut off may have left it there */
  async #placeFolder(aside: string): Promise<void> {
    const files = this.#files;
    const isThere =
      (await files.exists(this.#target)) && (await files.stat(this.#target)).kind === "directory";
    if (isThere) await files.rename(this.#target, aside);
    try {
      await files.rename(this.#part, this.#target);
    } catch (error) {
      if (isThere) await files.rename(aside, this.#target);
      throw error;
    }
    await files.remove(aside);
  }

  async #requireRoom(): Promise<void> {
    const freeBytes = await this.#files.freeBytes(this.#target);
    const isThere = await this.#files.exists(this.#part);
    if (freeBytes !== undefined && !isThere && freeBytes < this.#selection.bytes) {
      throw new PeerloomError(
        "files/disk-full",
        `${this.#selection.bytes} bytes are to come and ${freeBytes} are free. Free some space, or choose another place with -o.`,
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

  async #tryRead(into: Uint8Array, offset: number): Promise<boolean> {
    for (const piece of pieces(this.#manifest.entries, this.#starts, offset, into.length)) {
      const view = into.subarray(piece.at, piece.at + piece.bytes);
      const read = await this.#open.use(piece.entry, (handle) => handle.read(view, piece.offset));
      if (read < view.length) return false;
      await this.#requireUnchanged(piece.entry);
    }
    return true;
  }

  #pieces(index: number): Piece[] {
    const { chunkBytes, bytes, entries } = this.#manifest;
    const offset = index * chunkBytes;
    return pieces(entries, this.#starts, offset, Math.min(chunkBytes, bytes - offset));
  }

  #pathOf(index: number, root: string): string {
    const path = this.#manifest.entries[index]?.path ?? "";
    return path === "" ? root : this.#files.join(root, ...path.split("/"));
  }

  async #openPart(index: number): Promise<FileHandle> {
    if (this.#modifiedMs !== undefined) {
      await this.#requireUnchanged(index);
      return this.#files.open(this.#pathOf(index, this.#target), "read");
    }
    const path = this.#pathOf(index, this.#part);
    const folders = (this.#manifest.entries[index]?.path ?? "").split("/").slice(0, -1);
    if (this.#manifest.kind === "folder")
      await this.#files.makeDirectory(this.#files.join(this.#part, ...folders));
    return this.#files.open(path, "update");
  }

  /** Once it has its final name others may write to it. */
  async #requireUnchanged(index: number): Promise<void> {
    if (this.#modifiedMs === undefined) return;
    const { bytes, modifiedMs } = await this.#files.stat(this.#pathOf(index, this.#target));
    if (modifiedMs !== this.#modifiedMs.get(index) || bytes !== this.#manifest.entries[index]?.bytes)
      throw this.#changed();
  }

  #changed(): PeerloomError {
    return new PeerloomError("files/changed", `${this.#manifest.name} has changed since it was fetched.`);
  }

  async #closeAll(): Promise<void> {
    // Whoever closes without having completed knows already that it failed.
    await this.#writeBack.settled().catch(() => {});
    await this.#open.close();
    await this.#journal?.close();
    this.#journal = undefined;
  }
}
