/** Folders on a page: one that came is saved as an archive or file by file, and one that was picked or dropped is a folder for whoever gets it. */
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { unzipSync } from "fflate";
import type { Download as Saving, Page } from "playwright-core";
import { expect, onTestFinished } from "vitest";
import type { Peer } from "../../peer/node.ts";
import { browserTest, chromiumTest, Stage } from "./stage.ts";

declare const PagePeer: typeof Peer;

const NETWORK = "folders";
/** The large one goes over the borders of chunks. */
const FILES: Readonly<Record<string, Buffer>> = {
  "notes.txt": Buffer.from("what we saw"),
  "2026/sea.jpg": randomBytes(2_500_000),
  "2026/deep/empty": Buffer.alloc(0),
};
const PATHS = Object.keys(FILES);

const PAGE_PEER = { network: NETWORK, iceServers: [], identity: "fresh" };

let terminal: Peer;
const stage = Stage.set(async () => {
  terminal = await stage.openPeer({ network: NETWORK });
});

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "peerloom-folders-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

/** A folder of the machine's, called `photos`. */
async function photos(): Promise<string> {
  const folder = join(await temporaryFolder(), "photos");
  for (const path of PATHS) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), FILES[path] ?? "");
  }
  return folder;
}

function openPage(): Promise<Page> {
  return stage.browser.open(`${stage.edge.url}/?network=${NETWORK}`);
}

async function bytesOf(saving: Saving): Promise<Buffer> {
  return readFile(await saving.path());
}

/** Gets it as the command line does. */
async function expectPhotos(link: string): Promise<void> {
  const copy = join(await temporaryFolder(), "copy");
  await terminal.files.get(link).saveTo(copy);
  for (const path of PATHS)
    expect((await readFile(join(copy, path))).equals(FILES[path] as Buffer)).toBe(true);
}

/** What the page's origin keeps of downloads. */
function kept(page: Page): Promise<number> {
  return page.evaluate(`navigator.storage.getDirectory()
    .then((root) => root.getDirectoryHandle("peerloom-downloads", { create: true }))
    .then(async (folder) => { let count = 0; for await (const _ of folder.keys()) count++; return count; })`);
}

browserTest(
  "one that came is there as an archive and file by file, until it is not wanted any more",
  async () => {
    const { ticket } = await terminal.files.share(await photos());
    const page = await openPage();
    const field = page.getByRole("textbox", { name: "Link or ticket" });
    await field.fill(ticket);
    await field.press("Enter");
    await page.getByRole("button", { name: "Get it" }).click();
    await page.getByText("All there and verified").waitFor();

    await page.getByText("3 files").click();
    const one = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save 2026/sea.jpg" }).click();
    expect((await one).suggestedFilename()).toBe("sea.jpg");
    expect((await bytesOf(await one)).equals(FILES["2026/sea.jpg"] as Buffer)).toBe(true);

    const all = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save as ZIP" }).click();
    expect((await all).suggestedFilename()).toBe("photos.zip");
    const unpacked = unzipSync(await bytesOf(await all));
    expect(Object.keys(unpacked).toSorted()).toEqual(PATHS.toSorted());
    for (const path of PATHS)
      expect(Buffer.from(unpacked[path] ?? []).equals(FILES[path] as Buffer)).toBe(true);

    await page.getByRole("link", { name: "Save" }).waitFor();
    expect(await kept(page)).toBe(2);
    await page.getByRole("button", { name: "Done" }).click();
    await expect.poll(() => kept(page)).toBe(0);
    await page.close();
  },
);

chromiumTest("one that was picked, or dropped, has a link, and is got as a folder", async () => {
  const folder = await photos();
  const page = await openPage();
  const link = page.locator("peerloom-share input.link");
  await page.setInputFiles("peerloom-share input[webkitdirectory]", folder);
  await link.waitFor();
  await expectPhotos(await link.inputValue());
  await page.locator("peerloom-share li", { hasText: "3 files" }).waitFor();
  await page.getByRole("button", { name: "Stop sharing" }).click();

  const box = await page.locator("peerloom-share .drop").boundingBox();
  const place = { x: (box?.x ?? 0) + 20, y: (box?.y ?? 0) + 20 };
  const devtools = await page.context().newCDPSession(page);
  const data = { items: [], files: [folder], dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const)
    await devtools.send("Input.dispatchDragEvent", { type, ...place, data });
  await link.waitFor();
  await expectPhotos(await link.inputValue());
  await page.close();
});

browserTest(
  "a page's own code has the files that it chose of one, and gives them on as the same folder",
  async () => {
    const { ticket, hash } = await terminal.files.share(await photos());
    const page = await stage.openPage();
    const got = await page.evaluate(
      async ([text, options]) => {
        const peer = await PagePeer.open(options);
        const some = await peer.files.get(text, { select: ["2026"] }).saveTo();
        const all = await peer.files.get(text).saveTo();
        const files = all.files ?? [];
        const again = await peer.files.share(files, { name: all.path });
        const texts = files.filter(({ bytes }) => bytes < 100).map(({ file }) => file.text());
        const told = {
          path: all.path,
          file: all.file,
          some: some.files?.map(({ path, file }) => [path, file.name, file.size]),
          texts: await Promise.all(texts),
          hash: again.hash,
        };
        await peer.close();
        return told;
      },
      [ticket, PAGE_PEER] as const,
    );
    expect(got).toEqual({
      path: "photos",
      file: undefined,
      some: [
        ["2026/deep/empty", "empty", 0],
        ["2026/sea.jpg", "sea.jpg", 2_500_000],
      ],
      texts: ["", "what we saw"],
      hash,
    });
    await page.close();
  },
);
