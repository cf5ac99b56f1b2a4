/** The contract of stores, on a disk; in Chromium it is test/browser/origin-files.test.ts that has it. */
import { mkdtemp, open, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "vitest";
import { nodeFiles } from "../../../peer/adapters/node/files.ts";
import { PartStore } from "../../../peer/services/files/part-store.ts";
import { MANIFEST, STORE_CLAIMS } from "../../contract/store.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "peerloom-store-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

for (const [claim, check] of Object.entries(STORE_CLAIMS)) {
  test(`part store: ${claim}`, () =>
    check({
      open: async (selection) =>
        new PartStore({
          files: nodeFiles,
          manifest: MANIFEST,
          selection,
          target: join(folder, MANIFEST.name),
          hashText: "ab".repeat(32),
          overwrite: false,
        }),
      names: () => readdir(folder),
      async spoil(offset) {
        const [part = ""] = (await readdir(folder)).filter((name) => name.endsWith(".part"));
        const file = await open(join(folder, part), "r+");
        await file.write(Uint8Array.of(255), 0, 1, offset);
        await file.close();
      },
    }));
}
