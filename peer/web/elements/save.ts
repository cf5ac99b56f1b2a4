/**
 * Where a page puts what it gets: a file of the origin's own (OPFS), so that a large one does not sit in memory, handed over as an
 * ordinary download at the end. Where a browser lacks that, a Blob, which it keeps as it sees fit.
 */
import { PeerloomError } from "../../../shared/errors.ts";

const FOLDER = "peerloom-downloads";
/** A lock of each file that is in use; files without one are left over from a page that is gone. */
const LOCK = "peerloom-download/";

export interface Saved {
  /** An object URL. */
  readonly url: string;
  /** Frees the room it takes. */
  forget(): Promise<void>;
}

/** @throws PeerloomError `files/disk-full`, or as the readable does */
export async function save(readable: ReadableStream<Uint8Array>): Promise<Saved> {
  const folder = await openFolder();
  if (folder === undefined) {
    const url = URL.createObjectURL(await new Response(readable).blob());
    return {
      url,
      forget: async () => URL.revokeObjectURL(url),
    };
  }
  await sweep(folder);
  const name = crypto.randomUUID();
  const release = await hold(name);
  const forget = async (): Promise<void> => {
    await folder.removeEntry(name).catch(() => {});
    release();
  };
  try {
    const handle = await folder.getFileHandle(name, { create: true });
    await readable.pipeTo(await handle.createWritable());
    const url = URL.createObjectURL(await handle.getFile());
    return {
      url,
      forget: async () => {
        URL.revokeObjectURL(url);
        await forget();
      },
    };
  } catch (cause) {
    await forget();
    if (cause instanceof DOMException && cause.name === "QuotaExceededError") {
      throw new PeerloomError(
        "files/disk-full",
        "The browser gives this page no more room. Free some, or get it with the command line.",
        { cause },
      );
    }
    throw cause;
  }
}

/** Undefined where the browser has none, or keeps nothing (private windows). */
async function openFolder(): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle(FOLDER, { create: true });
    return "createWritable" in FileSystemFileHandle.prototype ? folder : undefined;
  } catch {
    return undefined;
  }
}

/** Removes what pages that are gone have left. */
async function sweep(folder: FileSystemDirectoryHandle): Promise<void> {
  const { held = [] } = await navigator.locks.query();
  const used = new Set(held.map(({ name }) => name));
  for await (const name of folder.keys()) {
    if (!used.has(LOCK + name)) await folder.removeEntry(name).catch(() => {});
  }
}

/** @returns lets go */
function hold(name: string): Promise<() => void> {
  return new Promise((resolve) => {
    void navigator.locks.request(LOCK + name, () => new Promise<void>((release) => resolve(release)));
  });
}
