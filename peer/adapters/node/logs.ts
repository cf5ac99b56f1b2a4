/** Logs as files in a folder of the data folder, readable by their owner only. */
import { constants } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { PeerloomError } from "../../../shared/errors.ts";
import type { LogFile, LogHost } from "../../runtime.ts";

const FOLDER = "logs";

export function folderLogs(dataDir: string): LogHost {
  const folder = join(dataDir, FOLDER);
  return {
    async open(name) {
      if (!/^[a-z0-9-]{1,200}$/.test(name))
        throw new PeerloomError("usage/invalid", `"${name}" is no name of a log.`);
      const path = join(folder, name);
      return translated(path, async () => {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        return openLog(path);
      });
    },
  };
}

async function openLog(path: string): Promise<LogFile> {
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
  const file = await open(path, O_RDWR | O_CREAT | (O_NOFOLLOW ?? 0), 0o600);
  let end = (await file.stat()).size;
  return {
    get bytes() {
      return end;
    },
    read: (into, offset) =>
      translated(path, async () => (await file.read(into, 0, into.length, offset)).bytesRead),
    async append(bytes) {
      // The end moves only when all is there: what a failed write has left is written over.
      for (let written = 0; written < bytes.length;) {
        const at = written;
        const result = await translated(path, () => file.write(bytes, at, bytes.length - at, end + at));
        written += result.bytesWritten;
      }
      end += bytes.length;
    },
    async truncate(bytes) {
      await translated(path, () => file.truncate(bytes));
      end = bytes;
    },
    sync: () => translated(path, () => file.datasync()),
    close: () => translated(path, () => file.close()),
  };
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
