/** A folder that a page has saved, as one archive: what is in it, and when it is made, made again and gone. */
import { unzipSync } from "fflate";
import { expect, test } from "vitest";
import { FolderArchive } from "../../../peer/services/files/folder-archive.ts";
import type { SavedEntry } from "../../../peer/services/files/saved-files.ts";
import type { OriginFile } from "../../../peer/runtime.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { KeptFile } from "./kept-file.ts";

const HASH = new Uint8Array(32).fill(7);
const CONTENTS: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
  "empty.txt": new Uint8Array(0),
  "2026/sea.jpg": Uint8Array.from({ length: 3_500_000 }, (_, at) => at * 7),
  "2026/\u{1f30a}.txt": new TextEncoder().encode("waves"),
};

const files: readonly SavedEntry[] = Object.entries(CONTENTS).map(([path, bytes]) => ({
  path,
  bytes: bytes.length,
  file: new File([bytes], path.split("/").at(-1) ?? ""),
}));

function archiveIn(open: ((name: string) => Promise<OriginFile>) | undefined): FolderArchive {
  const random = { bytes: (count: number) => new Uint8Array(count), unit: () => 0 };
  const originFiles = open === undefined ? undefined : { open };
  return new FolderArchive({ random, originFiles }, { name: "photos", hash: HASH, files });
}

async function contentsOf(archive: File): Promise<Record<string, Uint8Array>> {
  return unzipSync(new Uint8Array(await archive.arrayBuffer()));
}

function same(unpacked: Record<string, Uint8Array>): boolean {
  const paths = Object.keys(CONTENTS);
  const isSame = (path: string): boolean =>
    Buffer.from(CONTENTS[path] ?? []).equals(unpacked[path] ?? new Uint8Array(1));
  return Object.keys(unpacked).length === paths.length && paths.every(isSame);
}

test("it has every file under its path, in a file of its own or in memory, and is made once", async () => {
  const kept = new KeptFile();
  const names: string[] = [];
  const archive = archiveIn(async (name) => {
    names.push(name);
    return kept.open();
  });
  const [first, second] = await Promise.all([archive.file(), archive.file()]);
  expect(second).toBe(first);
  expect(first.name).toBe("photos.zip");
  expect(first.type).toBe("application/zip");
  expect(same(await contentsOf(first))).toBe(true);
  expect(names).toEqual([expect.stringMatching(/^(07){32}zip[0-9a-f]{16}$/)]);
  await archive.remove();
  expect(kept.isThere).toBe(false);
  expect(same(await contentsOf(await archiveIn(undefined).file()))).toBe(true);
});

test("where there is no room it says so and leaves nothing, and it is tried again when it is asked for again", async () => {
  const [full, free] = [new KeptFile(), new KeptFile()];
  const write = (): Promise<void> => Promise.reject(new PeerloomError("files/disk-full", "No room."));
  const opened = [{ ...full.open(), write }, free.open()];
  const archive = archiveIn(async () => opened.shift() as OriginFile);
  await expect(archive.file()).rejects.toMatchObject({ code: "files/disk-full" });
  expect(full.isThere).toBe(false);
  expect(same(await contentsOf(await archive.file()))).toBe(true);
});

test("what is wanted no more while it is made is made no further, and goes", async () => {
  const kept = new KeptFile();
  const begun = Promise.withResolvers<void>();
  const archive = archiveIn(async () => {
    const file = kept.open();
    const write: OriginFile["write"] = async (...what) => {
      begun.resolve();
      await file.write(...what);
    };
    return { ...file, write };
  });
  const making = archive.file();
  const failed = expect(making).rejects.toMatchObject({ code: "aborted" });
  await begun.promise;
  await archive.remove();
  await failed;
  expect(kept.isThere).toBe(false);
  expect(kept.content.length).toBeLessThan(3_500_000);
});
