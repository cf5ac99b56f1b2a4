/** The file system as the file service needs it. */
import { constants } from "node:fs";
import {
  access,
  type FileHandle as NodeFileHandle,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  statfs,
  unlink,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { PeerloomError } from "../../../shared/errors.ts";
import type { FileHandle, FileSystem } from "../../runtime.ts";
import { takeLock } from "./process-lock.ts";

export const nodeFiles: FileSystem = {
  async stat(path) {
    const stats = await translated(path, () => lstat(path));
    const kind = stats.isFile() ? "file" : stats.isDirectory() ? "directory" : "other";
    return { kind, bytes: stats.size, modifiedMs: stats.mtimeMs };
  },
  async exists(path) {
    try {
      await access(path);
      return true;
    } catch {
      return false;
    }
  },
  async list(path) {
    const names = await translated(path, () => readdir(path));
    return names.toSorted((a, b) => (a < b ? -1 : 1));
  },
  async open(path, mode) {
    const { O_RDONLY, O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
    const flags = mode === "read" ? O_RDONLY : O_RDWR | O_CREAT | (O_NOFOLLOW ?? 0);
    return fileHandle(path, await translated(path, () => open(path, flags, 0o644)));
  },
  async makeDirectory(path) {
    await translated(path, () => mkdir(path, { recursive: true }));
  },
  async rename(from, to) {
    await placed(to, async () => {
      // Over a file, or a folder that holds something, a folder is not moved by any system.
      if ((await lstat(from)).isDirectory()) await rename(from, to);
      else await moveFile(from, to);
    });
  },
  async replace(from, to) {
    await placed(to, () => rename(from, to));
  },
  async remove(path) {
    await translated(path, () => rm(path, { force: true, recursive: true }));
  },
  async lock(path) {
    const lock = await translated(path, () =>
      takeLock(path, "get", (holder) => {
        const by = holder === undefined ? "" : ` by process ${holder.pid}`;
        const why = `is held${by}: something else is being fetched there. Wait for it, or choose another name with -o`;
        return new PeerloomError("files/locked", `${path} ${why}.`);
      }),
    );
    return () => lock.release();
  },
  async freeBytes(path) {
    try {
      const { bavail, bsize } = await statfs(dirname(path));
      return bavail * bsize;
    } catch {
      return undefined;
    }
  },
  join: (...segments) => join(...segments),
  baseName: (path) => basename(path),
  folderOf: (path) => dirname(path),
};

/** `rename` alone would replace what stands there. */
async function moveFile(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (errnoOf(error) === "EEXIST") throw error;
    // Not every drive has hard links: the name is taken first, then filled.
    await (await open(to, "wx")).close();
    await rename(from, to);
    return;
  }
  await unlink(from);
}

/** What stands in the way is told as such; Windows calls it a lack of permission. */
async function placed(to: string, operation: () => Promise<void>): Promise<void> {
  await translated(to, async () => {
    try {
      await operation();
    } catch (cause) {
      const stands = ["EEXIST", "ENOTEMPTY", "ENOTDIR", "EISDIR"].includes(errnoOf(cause));
      if (!stands && !(errnoOf(cause) === "EPERM" && (await nodeFiles.exists(to)))) throw cause;
      const advice = "stands there already: move it away, or choose another name with -o";
      throw new PeerloomError("files/exists", `${to} ${advice}.`, { cause });
    }
  });
}

function fileHandle(path: string, file: NodeFileHandle): FileHandle {
  return {
    async read(into, offset) {
      let filled = 0;
      while (filled < into.length) {
        const at = filled;
        const { bytesRead } = await translated(path, () =>
          file.read(into, at, into.length - at, offset + at),
        );
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return filled;
    },
    async write(bytes, offset) {
      let written = 0;
      while (written < bytes.length) {
        const at = written;
        const result = await translated(path, () => file.write(bytes, at, bytes.length - at, offset + at));
        written += result.bytesWritten;
      }
    },
    truncate: (bytes) => translated(path, () => file.truncate(bytes)),
    sync: () => translated(path, () => file.sync()),
    close: () => translated(path, () => file.close()),
  };
}

const CODES: { readonly [errno: string]: "files/not-found" | "files/disk-full" } = {
  ENOENT: "files/not-found",
  ENOSPC: "files/disk-full",
  EDQUOT: "files/disk-full",
};

const ADVICE = {
  "files/not-found": "is not there",
  "files/disk-full":
    "does not fit: the disk is full. Free some space and run the same command again; it goes on where it stopped",
  "files/unwritable": "cannot be used: check its permissions, or choose another place with -o",
} as const;

async function translated<T>(path: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (cause) {
    if (cause instanceof PeerloomError) throw cause;
    const errno = errnoOf(cause);
    const code = CODES[errno] ?? "files/unwritable";
    throw new PeerloomError(code, `${path} ${ADVICE[code]}${errno === "" ? "" : ` (${errno})`}.`, { cause });
  }
}

function errnoOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
