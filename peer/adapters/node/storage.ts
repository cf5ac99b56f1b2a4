/** Small values as files of their own, readable by their owner only; each write is whole or not at all. */
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { PeerloomError } from "../../../shared/errors.ts";
import type { KeyValueStorage } from "../../runtime.ts";

/** @param folder made with mode 0700 when it is not there */
export function folderStorage(folder: string): KeyValueStorage {
  const pathOf = (key: string): string => {
    if (!/^[a-z0-9-]{1,64}$/.test(key))
      throw new PeerloomError("usage/invalid", `"${key}" is no storage key.`);
    return join(folder, key);
  };
  return {
    async get(key) {
      try {
        return new Uint8Array(await readFile(pathOf(key)));
      } catch (cause) {
        if (isMissing(cause)) return undefined;
        throw new PeerloomError("data/unwritable", `${pathOf(key)} cannot be read.`, { cause });
      }
    },
    async set(key, value) {
      if (!(value instanceof Uint8Array)) throw new PeerloomError("usage/invalid", "Files hold bytes only.");
      const path = pathOf(key);
      const temporary = `${path}.${crypto.randomUUID()}.new`;
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        const file = await open(temporary, "wx", 0o600);
        try {
          await file.writeFile(value);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(temporary, path);
      } catch (cause) {
        await rm(temporary, { force: true });
        throw new PeerloomError(
          "data/unwritable",
          `${path} cannot be written. Choose another folder with --data.`,
          { cause },
        );
      }
    },
  };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
