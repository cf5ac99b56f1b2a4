/** Runs in a page, bundled: the store of a page's origin as the contract of stores wants it, and its files as they are. */
import { openOriginFile } from "../../peer/adapters/browser/origin-files.ts";
import { OriginStore } from "../../peer/services/files/origin-store.ts";
import { MANIFEST, STORE_CLAIMS, type StorePlace } from "../contract/store.ts";

/** What TypeScript knows of it only for pages. */
interface Folder {
  getDirectoryHandle(name: string, options: { create: boolean }): Promise<Folder>;
  getFileHandle(name: string): Promise<{
    createWritable(options: { keepExistingData: boolean }): Promise<{
      write(what: { type: "write"; position: number; data: Uint8Array }): Promise<void>;
      close(): Promise<void>;
    }>;
  }>;
  removeEntry(name: string): Promise<void>;
  keys(): AsyncIterable<string>;
}

const NAME = "ab".repeat(32);

async function folderOf(): Promise<Folder> {
  const root = (await navigator.storage.getDirectory()) as unknown as Folder;
  return root.getDirectoryHandle("peerloom-downloads", { create: true });
}

async function names(): Promise<string[]> {
  const found: string[] = [];
  for await (const name of (await folderOf()).keys()) found.push(name);
  return found.toSorted();
}

const place: StorePlace = {
  async open(selection) {
    const file = await openOriginFile(NAME);
    if (file === undefined) throw new Error("the page has no files");
    return new OriginStore(file, MANIFEST, selection);
  },
  names,
  async spoil(offset) {
    const handle = await (await folderOf()).getFileHandle(NAME);
    const writable = await handle.createWritable({ keepExistingData: true });
    await writable.write({ type: "write", position: offset, data: Uint8Array.of(255) });
    await writable.close();
  },
};

/** What went wrong; empty: nothing. */
export async function check(claim: string): Promise<string> {
  const folder = await folderOf();
  for (const name of await names()) await folder.removeEntry(name);
  return (STORE_CLAIMS[claim] ?? missing)(place).then(
    () => "",
    (error: unknown) => String(error),
  );
}

/** Makes a file that is so long, and lets it go. @returns what lies there then */
export async function leave(name: string, bytes: number): Promise<string[]> {
  const file = await openOriginFile(name);
  await file?.write(new Uint8Array(1), bytes - 1);
  await file?.close();
  return names();
}

function missing(): never {
  throw new Error("there is no such claim");
}
