/** What somebody has chosen to share: files and folders, picked or dropped. */
import type { FolderFile } from "../../browser.ts";
import { ENTRIES_MAX } from "../../services/files/manifest.ts";

export interface ChosenFolder {
  readonly name: string;
  readonly files: readonly FolderFile[];
}

export type Chosen = File | ChosenFolder;

/** The files of what was picked as a folder: their paths begin with its name. */
export function pickedFolder(files: readonly File[]): ChosenFolder[] {
  const [name = ""] = files[0]?.webkitRelativePath.split("/") ?? [];
  if (name === "") return [];
  return [
    { name, files: files.map((file) => ({ path: file.webkitRelativePath.slice(name.length + 1), file })) },
  ];
}

/** Call it while the event lasts: afterwards there is nothing in it. Each for itself rejects, with a DOMException, when it cannot be read. */
export function dropped({ items }: DataTransfer): Promise<Chosen>[] {
  const found = [...items].flatMap((item) => item.webkitGetAsEntry() ?? item.getAsFile() ?? []);
  return found.map(async (each) => (each instanceof File ? each : read(each)));
}

async function read(entry: FileSystemEntry): Promise<Chosen> {
  if (isFile(entry)) return fileOf(entry);
  const files: FolderFile[] = [];
  await walk(entry as FileSystemDirectoryEntry, "", files);
  return { name: entry.name, files };
}

/** One more than may be shared is enough to say so. */
async function walk(folder: FileSystemDirectoryEntry, prefix: string, into: FolderFile[]): Promise<void> {
  const reader = folder.createReader();
  const next = (): Promise<FileSystemEntry[]> =>
    new Promise((resolve, reject) => reader.readEntries(resolve, reject));
  // They come a hundred at a time.
  for (let entries = await next(); entries.length > 0; entries = await next()) {
    for (const entry of entries) {
      if (into.length > ENTRIES_MAX) return;
      const path = prefix + entry.name;
      if (isFile(entry)) into.push({ path, file: await fileOf(entry) });
      else await walk(entry as FileSystemDirectoryEntry, `${path}/`, into);
    }
  }
}

function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile;
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}
