/**
 * Saving in a page: into a file of its origin, so that memory stays flat, others are given all of it, and another visit goes on from there. Where the browser
 * gives the page no such files it is kept in memory.
 */
import { equalBytes, toHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { OriginFile, Runtime } from "../../runtime.ts";
import type { Content } from "./content.ts";
import { FolderArchive } from "./folder-archive.ts";
import { MemoryStore } from "./memory-store.ts";
import { OriginStore, reading } from "./origin-store.ts";
import { savedFiles } from "./saved-files.ts";
import type { Save, Saved, SavingDownload } from "./saving.ts";
import type { PreparedShare } from "./share.ts";

export const saveInOrigin: Save = async (runtime, download, { path }) => {
  if (path !== undefined)
    throw new PeerloomError(
      "usage/invalid",
      "A page has no paths: call saveTo() without, and save its file.",
    );
  const file = await runtime.originFiles?.open(toHex(download.ticket.hash));
  if (file === undefined) return saveInMemory(runtime, download);
  try {
    return await saveIn(runtime, file, download);
  } catch (error) {
    await file.close();
    throw error;
  }
};

async function saveIn(runtime: Runtime, file: OriginFile, download: SavingDownload): Promise<Saved> {
  const forget = async (): Promise<void> => {
    download.cancel();
    await file.remove();
  };
  const there = await same(file, download);
  if (there !== undefined) {
    const { name } = download.ticket;
    const finished = await file.finish();
    await download.keep(there);
    return { path: name, file: new File([finished], name), transfer: undefined, forget };
  }
  const [transfer, store] = await download.run((...what) => new OriginStore(file, ...what));
  return { ...saved(runtime, download, store, store.content(), forget), transfer };
}

async function saveInMemory(runtime: Runtime, download: SavingDownload): Promise<Saved> {
  const [transfer, store] = await download.run((...what) => new MemoryStore(...what));
  const forget = async (): Promise<void> => download.cancel();
  return { ...saved(runtime, download, store, store.blob(), forget), transfer };
}

/** @param content all that was wanted */
function saved(
  runtime: Runtime,
  { ticket: { name, hash } }: SavingDownload,
  { manifest, selection }: OriginStore | MemoryStore,
  content: Blob,
  forgetContent: () => Promise<void>,
): Omit<Saved, "transfer"> {
  if (manifest.kind === "file") return { path: name, file: new File([content], name), forget: forgetContent };
  const files = savedFiles(manifest, selection, content);
  const archive = new FolderArchive(runtime, { name, hash, files });
  const forget = async (): Promise<void> => {
    await archive.remove();
    await forgetContent();
  };
  return { path: name, files, archive: () => archive.file(), forget };
}

/** What an earlier visit has left, if it is what the ticket names: then nobody need be asked. */
async function same(
  file: OriginFile,
  { ticket: { name, bytes, hash }, isPart, prepare }: SavingDownload,
): Promise<PreparedShare | undefined> {
  if (file.bytes !== bytes || isPart) return undefined;
  const content: Content = {
    kind: "file",
    name,
    entries: [{ path: "", bytes }],
    bytes,
    read: reading(file),
    close: async () => {},
  };
  const prepared = await prepare(content);
  return equalBytes(prepared.hash, hash) ? prepared : undefined;
}
