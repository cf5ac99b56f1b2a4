/**
 * What a page fetches, in its origin's private file system (https://fs.spec.whatwg.org). A file is written by one page, in a worker; once it is finished any
 * number may read it. What no page uses stays for another time, within bounds.
 */
import { giveBack } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { OriginFile } from "../../runtime.ts";
import { type OriginFileAnswer, originFileProgram, type OriginFileRequest } from "./origin-file-program.ts";

const FOLDER = "peerloom-downloads";
/** A lock for each file, shared by the pages that use it; one without may go. */
const USED = "peerloom-download/";
/** And one of its writer. */
const WRITTEN = "peerloom-download-writer/";
const WRITER_WAIT_MS = 3_000;
/** Of what no page uses; what was written first goes first. */
const UNUSED_MS_MAX: number = 7 * 24 * 3_600_000;
const UNUSED_BYTES_MAX: number = 2 * 1024 ** 3;

/** Resolves when it is so. */
type Release = () => Promise<void>;

/** See `OriginFileHost.open`. */
export async function openOriginFile(name: string): Promise<OriginFile | undefined> {
  const folder = await openFolder();
  if (folder === undefined) return undefined;
  const release = await use(name);
  let writer: Writer | undefined;
  try {
    await sweep(folder);
    const place = { folder: FOLDER, name, lock: WRITTEN + name, waitMs: WRITER_WAIT_MS };
    writer = new Writer();
    const { bytes = 0 } = done(await writer.ask({ kind: "open", place }));
    return new OwnFile({ folder, name, writer, bytes, release });
  } catch (error) {
    writer?.end();
    await release();
    // A browser that is too old, or a page's policy that forbids it, shows as anything: such a page does without.
    if (error instanceof PeerloomError && error.code !== "files/unwritable") throw error;
    return undefined;
  }
}

interface Taken {
  readonly folder: FileSystemDirectoryHandle;
  readonly name: string;
  readonly writer: Writer;
  readonly bytes: number;
  readonly release: Release;
}

class OwnFile implements OriginFile {
  readonly bytes: number;
  readonly #folder: FileSystemDirectoryHandle;
  readonly #name: string;
  readonly #writer: Writer;
  readonly #release: Release;
  #isEmpty: boolean;
  /** Once it is finished. */
  #file: File | undefined;
  #closing: Promise<void> | undefined;

  constructor({ folder, name, writer, bytes, release }: Taken) {
    this.#folder = folder;
    this.#name = name;
    this.#writer = writer;
    this.bytes = bytes;
    this.#isEmpty = bytes === 0;
    this.#release = release;
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    const { content, bytes = 0 } =
      this.#file === undefined
        ? await this.#ask({ kind: "read", offset, bytes: into.length })
        : await slice(this.#file, offset, into.length);
    if (content !== undefined) {
      into.set(content);
      giveBack(content);
    }
    return bytes;
  }

  async write(content: Uint8Array, offset: number): Promise<void> {
    this.#isEmpty = false;
    for (let left = content; ;) {
      const answer = await this.#writer.ask({ kind: "write", offset, content: left }, [left.buffer]);
      const isFull = answer.failure === "QuotaExceededError" && answer.content !== undefined;
      // How much room there is browsers do not say: Chromium's `estimate` names 10 GiB whatever there is.
      if (!isFull || !(await removeOldest(this.#folder))) return void done(answer);
      left = answer.content;
    }
  }

  async truncate(bytes: number): Promise<void> {
    await this.#ask({ kind: "truncate", bytes });
  }

  async finish(): Promise<File> {
    await this.#endWriting();
    this.#file ??= await (await this.#folder.getFileHandle(this.#name)).getFile();
    return this.#file;
  }

  close(): Promise<void> {
    this.#closing ??= this.#isEmpty ? this.remove() : this.#let(async () => {});
    return this.#closing;
  }

  remove(): Promise<void> {
    return (this.#closing = this.#let(() => remove(this.#folder, this.#name)));
  }

  async #let(after: () => Promise<unknown>): Promise<void> {
    // What cannot be flushed is not worth keeping, and is found out when it is verified.
    if (this.#file === undefined) await this.#endWriting().catch(() => {});
    await this.#release();
    await after();
  }

  async #endWriting(): Promise<void> {
    if (!this.#writer.isEnded) await this.#ask({ kind: "close" });
    this.#writer.end();
  }

  async #ask(request: OriginFileRequest): Promise<OriginFileAnswer> {
    return done(await this.#writer.ask(request));
  }
}

/** One worker with one file. It answers in the order in which it is asked. */
class Writer {
  readonly #worker: Worker;
  readonly #waiting: PromiseWithResolvers<OriginFileAnswer>[] = [];
  isEnded = false;

  constructor() {
    const url = URL.createObjectURL(new Blob([`(${originFileProgram.toString()})()`]));
    this.#worker = new Worker(url);
    URL.revokeObjectURL(url);
    this.#worker.addEventListener("message", ({ data }: MessageEvent<OriginFileAnswer>) =>
      this.#waiting.shift()?.resolve(data),
    );
    this.#worker.addEventListener("error", () => this.end());
  }

  /** @throws PeerloomError `files/unwritable` when it has ended, or could not begin */
  ask(request: OriginFileRequest, memory: Transferable[] = []): Promise<OriginFileAnswer> {
    if (this.isEnded) return Promise.reject(ended());
    const waiting = Promise.withResolvers<OriginFileAnswer>();
    this.#waiting.push(waiting);
    this.#worker.postMessage(request, memory);
    return waiting.promise;
  }

  end(): void {
    this.isEnded = true;
    this.#worker.terminate();
    for (const { reject } of this.#waiting.splice(0)) reject(ended());
  }
}

/** Undefined where the browser has none, or keeps nothing (private windows). */
async function openFolder(): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    const root = await navigator.storage.getDirectory();
    return await root.getDirectoryHandle(FOLDER, { create: true });
  } catch {
    return undefined;
  }
}

/** Removes what no page uses and is too old, or too much. */
async function sweep(folder: FileSystemDirectoryHandle): Promise<void> {
  const files = await unused(folder);
  let bytes = files.reduce((sum, { size }) => sum + size, 0);
  for (const { name, size, lastModified } of files) {
    if (lastModified > Date.now() - UNUSED_MS_MAX && bytes <= UNUSED_BYTES_MAX) return;
    await remove(folder, name);
    bytes -= size;
  }
}

/** @returns whether there was something that could go */
async function removeOldest(folder: FileSystemDirectoryHandle): Promise<boolean> {
  for (const { name } of await unused(folder)) if (await remove(folder, name)) return true;
  return false;
}

/** What no page uses, the oldest first. */
async function unused(folder: FileSystemDirectoryHandle): Promise<readonly File[]> {
  const { held = [] } = await navigator.locks.query();
  const used = new Set(held.map(({ name }) => name));
  const files: File[] = [];
  for await (const handle of folder.values()) {
    if (handle.kind !== "file" || used.has(USED + handle.name)) continue;
    // Another page may be removing it.
    const file = await handle.getFile().catch(() => undefined);
    if (file !== undefined) files.push(file);
  }
  return files.sort((a, b) => a.lastModified - b.lastModified);
}

/** As one of those that use it. @returns uses it no more */
function use(name: string): Promise<Release> {
  return new Promise((resolve, reject) => {
    const over = Promise.withResolvers<void>();
    const used = navigator.locks.request(USED + name, { mode: "shared" }, () => {
      resolve(() => {
        over.resolve();
        return used;
      });
      return over.promise;
    });
    used.catch(reject);
  });
}

/** @returns false when somebody uses it, or it cannot be */
function remove(folder: FileSystemDirectoryHandle, name: string): Promise<boolean> {
  return navigator.locks.request(USED + name, { ifAvailable: true }, (lock) =>
    lock === null
      ? false
      : folder.removeEntry(name).then(
          () => true,
          () => false,
        ),
  );
}

async function slice(file: File, offset: number, length: number): Promise<OriginFileAnswer> {
  try {
    const content = new Uint8Array(await file.slice(offset, offset + length).arrayBuffer());
    return { content, bytes: content.length };
  } catch (cause) {
    throw new PeerloomError("files/changed", "What was fetched is not there any more.", { cause });
  }
}

const FAILURES: Readonly<Record<string, readonly ["files/disk-full" | "files/locked", string]>> = {
  QuotaExceededError: [
    "files/disk-full",
    "The browser gives this page no more room. Free some, or get it with the command line.",
  ],
  TimeoutError: [
    "files/locked",
    "Another tab of this site is getting the same. Wait for it, or stop it there.",
  ],
};

/** @throws PeerloomError when it is not */
function done(answer: OriginFileAnswer): OriginFileAnswer {
  const { failure, why = "" } = answer;
  if (failure === undefined) return answer;
  const [code, message] = FAILURES[failure] ?? [
    "files/unwritable" as const,
    `The browser does not let this page keep what it gets (${failure}: ${why}).`,
  ];
  throw new PeerloomError(code, message);
}

function ended(): PeerloomError {
  return new PeerloomError("files/unwritable", "The browser has ended what kept this page's files.");
}
