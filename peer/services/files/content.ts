/**
 * The content of a share as one run of bytes: a file, a folder's files in the order of their paths, or Blobs.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { FileHandle, FileSystem } from "../../runtime.ts";
import { ENTRIES_MAX, type Manifest, type ManifestEntry } from "./manifest.ts";
import { CONTENT_BYTES_MAX } from "./chunks.ts";
import { checkName, checkPaths, PATH_SEGMENTS_MAX } from "./names.ts";
import { OpenFiles } from "./open-files.ts";

export interface Content {
  readonly kind: "file" | "folder";
  readonly name: string;
  readonly entries: readonly ManifestEntry[];
  readonly bytes: number;
  /**
   * Fills `into` from `offset` on.
   * @throws PeerloomError `files/changed` when there is less than there was, or it was written to
   */
  read(into: Uint8Array, offset: number): Promise<void>;
  close(): Promise<void>;
}

/** A file of a folder that is none of the machine's, as a page has them. */
export interface FolderFile {
  /** Segments joined by "/", below the folder's name. */
  readonly path: string;
  readonly file: Blob;
}

export function blobContent(blob: Blob, name: string): Content {
  return new BlobContent("file", name, [{ path: "", file: blob }]);
}

/** @throws PeerloomError `files/path-escape`, `usage/invalid` (no files, too many, too large) */
export function folderContent(files: readonly FolderFile[], name: string): Content {
  if (files.length === 0) throw new PeerloomError("usage/invalid", "There is no file in the folder.");
  if (files.length > ENTRIES_MAX) throw tooMany();
  checkName(name);
  checkPaths(files.map(({ path }) => path));
  return new BlobContent("folder", name, files.toSorted(byPath));
}

class BlobContent implements Content {
  readonly kind: "file" | "folder";
  readonly name: string;
  readonly entries: readonly ManifestEntry[];
  readonly bytes: number;
  readonly #files: readonly FolderFile[];
  readonly #starts: readonly number[];

  constructor(kind: "file" | "folder", name: string, files: readonly FolderFile[]) {
    this.kind = kind;
    this.name = name;
    this.entries = files.map(({ path, file }) => ({ path, bytes: file.size }));
    this.#files = files;
    [this.#starts, this.bytes] = layOut(this.entries);
  }

  async read(into: Uint8Array, offset: number): Promise<void> {
    for (const piece of pieces(this.entries, this.#starts, offset, into.length)) {
      const { path, file } = this.#files[piece.entry] as FolderFile;
      const name = path === "" ? this.name : path;
      let bytes: Uint8Array;
      try {
        bytes = new Uint8Array(await file.slice(piece.offset, piece.offset + piece.bytes).arrayBuffer());
      } catch (cause) {
        throw new PeerloomError(
          "files/changed",
          `${name} cannot be read any more: it was moved, changed or taken away since it was chosen. Choose it again.`,
          { cause },
        );
      }
      if (bytes.length < piece.bytes) throw changed(name);
      into.set(bytes, piece.at);
    }
  }

  async close(): Promise<void> {}
}

/**
 * Symbolic links and devices are left out: a share shows nothing from outside its folder.
 * @throws PeerloomError `files/not-found`, `usage/invalid` (neither file nor folder, too many files, too large)
 */
export async function pathContent(files: FileSystem, path: string): Promise<Content> {
  const stat = await files.stat(path);
  const name = files.baseName(path);
  if (stat.kind === "file") {
    const entry = { path: "", bytes: stat.bytes, source: path, modifiedMs: stat.modifiedMs };
    return new FileContent(files, "file", name, [entry]);
  }
  if (stat.kind !== "directory")
    throw new PeerloomError("usage/invalid", `${path} is neither a file nor a folder.`);
  const entries: SourceEntry[] = [];
  await walk(files, path, [], entries);
  entries.sort(byPath);
  return new FileContent(files, "folder", name, entries);
}

/**
 * Some files of a folder that was fetched, as they lie below `root` now; only those can be read.
 * @returns undefined when one is not there, or has another length
 */
export async function placedContent(
  files: FileSystem,
  { kind, name, entries }: Manifest,
  isPlaced: (entry: number) => boolean,
  root: string,
): Promise<Content | undefined> {
  const placed: SourceEntry[] = [];
  for (const [index, { path, bytes }] of entries.entries()) {
    const source = files.join(root, ...path.split("/"));
    const stat = isPlaced(index) && (await files.exists(source)) ? await files.stat(source) : undefined;
    if (isPlaced(index) && (stat?.kind !== "file" || stat.bytes !== bytes)) return undefined;
    placed.push({ path, bytes, source, modifiedMs: stat?.modifiedMs ?? 0 });
  }
  return new FileContent(files, kind, name, placed);
}

interface SourceEntry extends ManifestEntry {
  readonly source: string;
  readonly modifiedMs: number;
}

async function walk(
  files: FileSystem,
  folder: string,
  segments: readonly string[],
  into: SourceEntry[],
): Promise<void> {
  if (segments.length >= PATH_SEGMENTS_MAX)
    throw new PeerloomError("usage/invalid", `${folder} is nested too deep to share.`);
  for (const name of await files.list(folder)) {
    const source = files.join(folder, name);
    const stat = await files.stat(source);
    const below = [...segments, name];
    if (stat.kind === "directory") await walk(files, source, below, into);
    else if (stat.kind === "file") {
      if (into.length === ENTRIES_MAX) throw tooMany();
      into.push({ path: below.join("/"), bytes: stat.bytes, source, modifiedMs: stat.modifiedMs });
    }
  }
}

class FileContent implements Content {
  readonly kind: "file" | "folder";
  readonly name: string;
  readonly entries: readonly SourceEntry[];
  readonly bytes: number;
  readonly #files: FileSystem;
  readonly #starts: readonly number[];
  readonly #open = new OpenFiles((index) => this.#openUnchanged(this.entries[index] as SourceEntry));

  constructor(files: FileSystem, kind: "file" | "folder", name: string, entries: readonly SourceEntry[]) {
    this.#files = files;
    this.kind = kind;
    this.name = name;
    this.entries = entries;
    [this.#starts, this.bytes] = layOut(entries);
  }

  async read(into: Uint8Array, offset: number): Promise<void> {
    for (const piece of pieces(this.entries, this.#starts, offset, into.length)) {
      const view = into.subarray(piece.at, piece.at + piece.bytes);
      const read = await this.#open.use(piece.entry, (handle) => handle.read(view, piece.offset));
      if (read < view.length) throw changed(this.name);
      // Behind the reading, or what was written meanwhile would go out as what was shared.
      await this.#requireUnchanged(this.entries[piece.entry] as SourceEntry);
    }
  }

  close(): Promise<void> {
    return this.#open.close();
  }

  async #openUnchanged(entry: SourceEntry): Promise<FileHandle> {
    await this.#requireUnchanged(entry);
    return this.#files.open(entry.source, "read");
  }

  async #requireUnchanged(entry: SourceEntry): Promise<void> {
    const { bytes, modifiedMs } = await this.#files.stat(entry.source);
    if (bytes !== entry.bytes || modifiedMs !== entry.modifiedMs) throw changed(this.name);
  }
}

/** The same content under another name. */
export function renamed(content: Content, name: string): Content {
  return {
    kind: content.kind,
    name,
    entries: content.entries.map(({ path, bytes }) => ({ path, bytes })),
    bytes: content.bytes,
    read: (into, offset) => content.read(into, offset),
    close: () => content.close(),
  };
}

/** A run of the content inside one file. */
export interface Piece {
  /** Index of the file. */
  readonly entry: number;
  /** In that file. */
  readonly offset: number;
  /** In the run asked for. */
  readonly at: number;
  readonly bytes: number;
}

/** Cuts a run of the content where files end. `starts` are the files' offsets in the content, rising. */
export function pieces(
  entries: readonly ManifestEntry[],
  starts: readonly number[],
  offset: number,
  bytes: number,
): Piece[] {
  const cut: Piece[] = [];
  let index = lastStartAtOrBelow(starts, offset);
  let at = 0;
  while (at < bytes && index < entries.length) {
    const start = starts[index] as number;
    const inside = offset + at - start;
    const count = Math.min((entries[index] as ManifestEntry).bytes - inside, bytes - at);
    if (count > 0) cut.push({ entry: index, offset: inside, at, bytes: count });
    at += Math.max(count, 0);
    index += 1;
  }
  return cut;
}

function lastStartAtOrBelow(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((starts[middle] as number) <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Where each file starts in the content, and how long that is. @throws PeerloomError `usage/invalid` too long */
function layOut(entries: readonly ManifestEntry[]): readonly [starts: readonly number[], total: number] {
  const starts: number[] = [];
  let total = 0;
  for (const { bytes } of entries) {
    starts.push(total);
    total += bytes;
  }
  if (total > CONTENT_BYTES_MAX) throw new PeerloomError("usage/invalid", "A share holds at most 1 TiB.");
  return [starts, total];
}

function byPath(a: { readonly path: string }, b: { readonly path: string }): number {
  return a.path < b.path ? -1 : 1;
}

function tooMany(): PeerloomError {
  return new PeerloomError(
    "usage/invalid",
    `The folder has more than ${ENTRIES_MAX} files. Share parts of it, or an archive.`,
  );
}

function changed(name: string): PeerloomError {
  return new PeerloomError(
    "files/changed",
    `${name} has changed since it was shared. Share it again for a new ticket.`,
  );
}
