/**
 * Saving in a page: into a file of its origin, so that memory stays flat, others are given all of it, and another visit goes on from there. Where the browser
 * gives the page no such files it is kept in memory.
 */
import { equalBytes, toHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { OriginFile } from "../../runtime.ts";
import type { Content } from "./content.ts";
import { MemoryStore } from "./memory-store.ts";
import { OriginStore, reading } from "./origin-store.ts";
import type { Save, Saved, SavingDownload } from "./saving.ts";
import type { PreparedShare } from "./share.ts";

export const saveInOrigin: Save = async ({ originFiles }, download, { path }) => {
  if (path !== undefined)
    throw new PeerloomError(
      "usage/invalid",
      "A page has no paths: call saveTo() without, and save its file.",
    );
  const file = await originFiles?.open(toHex(download.ticket.hash));
  if (file === undefined) return saveInMemory(download);
  try {
    return await saveIn(file, download);
  } catch (error) {
    await file.close();
    throw error;
  }
};

async function saveIn(file: OriginFile, download: SavingDownload): Promise<Saved> {
  const { name } = download.ticket;
  const forget = async (): Promise<void> => {
    download.cancel();
    await file.remove();
  };
  const there = await same(file, download);
  if (there !== undefined) {
    const finished = await file.finish();
    await download.keep(there);
    return { path: name, file: new File([finished], name), transfer: undefined, forget };
  }
  const [transfer, store] = await download.run((...what) => new OriginStore(file, ...what));
  return { path: name, file: store.file(), transfer, forget };
}

async function saveInMemory(download: SavingDownload): Promise<Saved> {
  const { name } = download.ticket;
  const [transfer, store] = await download.run((...what) => new MemoryStore(...what));
  return {
    path: name,
    file: new File([store.blob()], name),
    transfer,
    forget: async () => download.cancel(),
  };
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
