/** What is shared, read again while its files are written to. */
import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { nodeFiles } from "../../../peer/adapters/node/files.ts";
import { folderContent, pathContent } from "../../../peer/services/files/content.ts";

test("a file that was written to since it was shared is told as changed, though it is open and as long as before", async () => {
  const folder = await mkdtemp(join(tmpdir(), "peerloom-content-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const name of ["a", "b"]) await writeFile(join(folder, name), Buffer.alloc(1_000, 1));
  const content = await pathContent(nodeFiles, folder);
  const into = new Uint8Array(1_000);
  for (const offset of [0, 500, 1_000]) await content.read(into, offset);
  await writeFile(join(folder, "b"), Buffer.alloc(1_000, 2));
  await utimes(join(folder, "b"), 1_700_000_000, 1_700_000_000);
  await content.read(into, 0);
  await expect(content.read(into, 500)).rejects.toMatchObject({ code: "files/changed" });
  await content.close();
});

test("Blobs with paths are a folder: one run of bytes in the order of their paths, read across them", async () => {
  const file = (text: string): Blob => new Blob([text]);
  const content = folderContent(
    [
      { path: "b", file: file("6789") },
      { path: "a/2", file: file("") },
      { path: "a/1", file: file("012345") },
    ],
    "numbers",
  );
  expect(content.entries).toEqual([
    { path: "a/1", bytes: 6 },
    { path: "a/2", bytes: 0 },
    { path: "b", bytes: 4 },
  ]);
  expect(content).toMatchObject({ kind: "folder", name: "numbers", bytes: 10 });
  const into = new Uint8Array(5);
  await content.read(into, 4);
  expect(new TextDecoder().decode(into)).toBe("45678");
});

test.each([
  { files: [], name: "empty", code: "usage/invalid" },
  { files: ["../out"], name: "escape", code: "files/path-escape" },
  { files: ["same", "SAME"], name: "twice", code: "files/path-escape" },
  { files: ["a"], name: "a/b", code: "files/path-escape" },
])("a folder of Blobs that nobody could save is not shared: $name", ({ files, name, code }) => {
  const folder = files.map((path) => ({ path, file: new Blob(["x"]) }));
  expect(() => folderContent(folder, name)).toThrow(expect.objectContaining({ code }));
});
