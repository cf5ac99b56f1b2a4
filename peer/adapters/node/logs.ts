/**
 * Logs as files in a folder of the data folder, readable by their owner only. A file is made with the first append, so that what was only
 * looked for leaves nothing behind.
 */
import { constants } from "node:fs";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { PeerloomError } from "../../../shared/errors.ts";
import type { LogFile, LogHost } from "../../runtime.ts";

const FOLDER = "logs";
const FLAGS: number = constants.O_RDWR | (constants.O_NOFOLLOW ?? 0);

export function folderLogs(dataDir: string): LogHost {
  const folder = join(dataDir, FOLDER);
  return {
    async open(name) {
      if (!/^[a-z0-9-]{1,200}$/.test(name))
        throw new PeerloomError("usage/invalid", `"${name}" is no name of a log.`);
      const path = join(folder, name);
      return translated(path, () => openLog(folder, path));
    },
  };
}

async function openLog(folder: string, path: string): Promise<LogFile> {
  let file = await openExisting(path);
  let end = (await file?.stat())?.size ?? 0;
  const make = async (): Promise<FileHandle> => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return open(path, FLAGS | constants.O_CREAT, 0o600);
  };
  return {
    get bytes() {
      return end;
    },
    read: (into, offset) =>
      translated(path, async () => (await file?.read(into, 0, into.length, offset))?.bytesRead ?? 0),
    async append(bytes) {
      const made = (file ??= await translated(path, make));
      // The end moves only when all is there: what a failed write has left is written over.
      for (let written = 0; written < bytes.length;) {
        const at = written;
        const result = await translated(path, () => made.write(bytes, at, bytes.length - at, end + at));
        written += result.bytesWritten;
      }
      end += bytes.length;
    },
    async truncate(bytes) {
      await translated(path, async () => file?.truncate(bytes));
      end = bytes;
    },
    sync: () => translated(path, async () => file?.datasync()),
    close: () => translated(path, async () => file?.close()),
  };
}

async function openExisting(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, FLAGS);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

async function translated<T>(path: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (cause) {
    throw new PeerloomError(
      "data/unwritable",
      `${path} cannot be used. Free some space, or choose another folder with --data.`,
      { cause },
    );
  }
}
