/** Saving to a file or folder of the machine's: under which name, what may stand there, and what is there already. */
import { equalBytes, toHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { FileSystem } from "../../runtime.ts";
import { pathContent, renamed } from "./content.ts";
import { PartStore } from "./part-store.ts";
import { PlacedStore } from "./placed-store.ts";
import type { Disk, Save, SavePlace, SavingDownload } from "./saving.ts";
import type { PreparedShare } from "./share.ts";
import type { Store } from "./store.ts";

interface Target {
  readonly path: string;
  readonly overwrite: boolean;
  /** What stands there, if it is what the ticket names. */
  readonly there: PreparedShare | undefined;
  /** What was chosen of a folder may stand there. */
  readonly isPlaced: boolean;
}

const saveToDisk: Save = async ({ files }, download, place) => {
  if (files === undefined)
    throw new PeerloomError("usage/invalid", "This host has no files: use blob() or readable.");
  const { path, overwrite, there, isPlaced } = await targetOf(files, download, place);
  if (there !== undefined) {
    await download.keep(there);
    return { path, transfer: undefined };
  }
  const hashText = toHex(download.ticket.hash);
  const [transfer] = await download.run<Store>((manifest, selection) =>
    isPlaced
      ? new PlacedStore({ files, manifest, selection, target: path })
      : new PartStore({ files, manifest, selection, target: path, hashText, overwrite }),
  );
  return { path, transfer };
};

export const DISK: Disk = { save: saveToDisk, content: pathContent };

async function targetOf(
  files: FileSystem,
  download: SavingDownload,
  { path: asked, overwrite }: SavePlace,
): Promise<Target> {
  const { name } = download.ticket;
  let path = asked ?? name;
  let kind = await kindOf(files, path);
  const isInside = kind === "directory" && files.baseName(path) !== name;
  if (isInside) {
    path = files.join(path, name);
    kind = await kindOf(files, path);
  }
  if (kind === undefined) {
    await requireFolder(files, files.folderOf(path));
    return { path, overwrite, there: undefined, isPlaced: false };
  }
  const there = await same(files, path, download);
  if (there !== undefined) return { path, overwrite, there, isPlaced: false };
  // The ticket's name is a stranger's choice, and a folder is much to lose.
  const isOwnChoice = asked !== undefined && !isInside;
  if (overwrite && (isOwnChoice || kind !== "directory"))
    return { path, overwrite, there: undefined, isPlaced: false };
  if (!overwrite && kind === "directory" && download.isPart)
    return { path, overwrite, there: undefined, isPlaced: true };
  throw new PeerloomError(
    "files/exists",
    overwrite
      ? `${path} is a folder with other content. To replace it, name it with -o.`
      : `${path} is there already, with other content. Choose another name with -o.`,
  );
}

/** What is there, if it is what the ticket names; the name counts too, since it is part of the manifest. */
async function same(
  files: FileSystem,
  path: string,
  { ticket, prepare }: SavingDownload,
): Promise<PreparedShare | undefined> {
  const content = await pathContent(files, path);
  if (content.bytes === ticket.bytes) {
    const prepared = await prepare(renamed(content, ticket.name));
    if (equalBytes(prepared.hash, ticket.hash)) return prepared;
  }
  await content.close();
  return undefined;
}

async function kindOf(files: FileSystem, path: string): Promise<"file" | "directory" | "other" | undefined> {
  return (await files.exists(path)) ? (await files.stat(path)).kind : undefined;
}

async function requireFolder(files: FileSystem, path: string): Promise<void> {
  if (await files.exists(path)) return;
  throw new PeerloomError(
    "files/not-found",
    `The folder ${path} is not there. Make it first, or choose another place with -o.`,
  );
}
