/** What is shared, read again while its files are written to. */
import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { nodeFiles } from "../../../peer/adapters/node/files.ts";
import { pathContent } from "../../../peer/services/files/content.ts";

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
