/** Writing out while more comes: one at a time, and a failure is not lost though the system tells of it once. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { nodeFiles } from "../../../peer/adapters/node/files.ts";
import type { FileSystem } from "../../../peer/runtime.ts";
import type { Manifest } from "../../../peer/services/files/manifest.ts";
import { PartStore } from "../../../peer/services/files/part-store.ts";
import { Selection } from "../../../peer/services/files/selection.ts";
import { WriteBack } from "../../../peer/services/files/write-back.ts";
import { PeerloomError } from "../../../shared/errors.ts";

const MIB: number = 2 ** 20;

test("it runs each 32 MiB, one at a time, and the end waits for it", async () => {
  const writeBack = new WriteBack();
  const ends: (() => void)[] = [];
  const sync = vi.fn(() => new Promise<void>((resolve) => ends.push(resolve)));
  for (let written = 0; written < 31; written++) writeBack.wrote(MIB, sync);
  expect(sync).not.toHaveBeenCalled();
  for (let written = 0; written < 69; written++) writeBack.wrote(MIB, sync);
  expect(sync).toHaveBeenCalledTimes(1);
  let isSettled = false;
  const settled = writeBack.settled().then(() => {
    isSettled = true;
  });
  await Promise.resolve();
  expect(isSettled).toBe(false);
  ends[0]?.();
  await settled;
  writeBack.wrote(MIB, sync);
  expect(sync).toHaveBeenCalledTimes(2);
  ends[1]?.();
  await writeBack.settled();
});

test("what failed is thrown by the next write and at the end", async () => {
  const writeBack = new WriteBack();
  writeBack.wrote(32 * MIB, async () => {
    throw new Error("the disk is gone");
  });
  await expect(writeBack.settled()).rejects.toThrow("the disk is gone");
  expect(() => writeBack.wrote(1, async () => {})).toThrow("the disk is gone");
  await expect(writeBack.settled()).rejects.toThrow("the disk is gone");
});

test("a part that could not be written out gets no final name", async () => {
  const folder = await mkdtemp(join(tmpdir(), "peerloom-write-back-"));
  try {
    const failure = new PeerloomError("files/unwritable", "The disk is gone.");
    let failures = 0;
    const files: FileSystem = {
      ...nodeFiles,
      async open(path, mode) {
        const handle = await nodeFiles.open(path, mode);
        const sync = async (): Promise<void> => {
          if (failures++ === 0) throw failure;
        };
        return path.endsWith(".part") ? { ...handle, sync } : handle;
      },
    };
    const bytes = 33 * MIB;
    const manifest: Manifest = {
      kind: "file",
      name: "large",
      entries: [{ path: "", bytes }],
      bytes,
      chunkBytes: MIB,
      root: new Uint8Array(32),
    };
    const store = new PartStore({
      files,
      manifest,
      selection: new Selection(manifest, {}),
      target: join(folder, "large"),
      hashText: "ab".repeat(32),
      overwrite: false,
    });
    await store.resume(new Uint8Array(33 * 32), () => {}, new AbortController().signal);
    for (let index = 0; index < 32; index++) await store.write(index, new Uint8Array(MIB));
    await expect(store.complete()).rejects.toBe(failure);
    await store.abandon();
    const left = await readdir(folder);
    expect(left.filter((name) => name.endsWith("large"))).toEqual([]);
    expect(left.some((name) => name.endsWith(".part"))).toBe(true);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
