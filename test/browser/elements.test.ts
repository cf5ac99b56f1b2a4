/** The edge's page as people use it, in two browsers of their own: files go from page to page, to a terminal's peer and from one. */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { expect } from "vitest";
import type { Peer } from "../../peer/node.ts";
import { temporaryFolder } from "../integration/command.ts";
import type { Browser } from "./browsers.ts";
import { browserTest, Stage } from "./stage.ts";

const FILE_BYTES = 32_000_000;
/** A page that held the file would hold all of it. */
const LIVE_BYTES_MAX = 18_000_000;
const PATIENCE = { timeout: 30_000 };

let there: Browser;
let terminal: Peer;
/** What each page's policy forbids, or its scripts let fall. */
const complaints: (readonly string[])[] = [];

const stage = Stage.set(async () => {
  there = await stage.startBrowser();
  terminal = await stage.openPeer({});
});

async function openPage(browser: Browser, path = "/"): Promise<Page> {
  const [page, heard] = await stage.openWatched(path, browser);
  complaints.push(heard);
  return page;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(path)) hash.update(bytes as Buffer);
  return hash.digest("hex");
}

/** Chooses the file as a person would. @returns the link that the page hands out */
async function shareFrom(page: Page, path: string): Promise<string> {
  await page.setInputFiles("peerloom-share input[type=file]", path);
  const link = page.locator("peerloom-share input.link").first();
  await link.waitFor();
  return link.inputValue();
}

/** Clicks through to the saved file. @returns its path and its name */
async function getIn(page: Page): Promise<{ path: string; name: string }> {
  const saving = page.waitForEvent("download", { timeout: 60_000 });
  await page.getByRole("button", { name: "Get it" }).click();
  const download = await saving;
  return { path: await download.path(), name: download.suggestedFilename() };
}

browserTest(
  "a file goes from page to page by its link, to a terminal by its ticket, and from a terminal to a page",
  async () => {
    const folder = await temporaryFolder();
    const original = join(folder, "holiday film.bin");
    await writeFile(original, randomBytes(FILE_BYTES));
    const expected = await hashOf(original);
    const sharing = await openPage(stage.browser);
    const link = await shareFrom(sharing, original);
    expect(link.startsWith(`${stage.edge.url}/#get=`)).toBe(true);

    const getting = await openPage(there, new URL(link).pathname + new URL(link).hash);
    // The ticket is a secret, and none of the address any more.
    await expect.poll(() => getting.url(), PATIENCE).toBe(`${stage.edge.url}/`);
    const got = await getIn(getting);
    expect(got.name).toBe("holiday film.bin");
    expect(await hashOf(got.path)).toBe(expected);
    expect((await there.liveBytes(getting)) ?? 0).toBeLessThan(LIVE_BYTES_MAX);
    expect((await stage.browser.liveBytes(sharing)) ?? 0).toBeLessThan(LIVE_BYTES_MAX);
    const told = await getting.locator("peerloom-get [role=status]").textContent();
    expect(told).toContain("verified");
    expect(told).toMatch(/from 1 peer, (direct|relayed)/);

    const copy = join(folder, "copy.bin");
    await terminal.files.get(link).saveTo(copy);
    expect(await hashOf(copy)).toBe(expected);

    const { ticket } = await terminal.files.share(original);
    const field = sharing.getByRole("textbox", { name: "Link or ticket" });
    await field.fill(ticket);
    await field.press("Enter");
    expect(await hashOf((await getIn(sharing)).path)).toBe(expected);
    expect(complaints.flat()).toEqual([]);
  },
);

browserTest(
  "what is no link, what nobody has any more and a stopped download are said, and the page goes on",
  async () => {
    const page = await openPage(stage.browser);
    const field = page.getByRole("textbox", { name: "Link or ticket" });
    const alert = page.locator("peerloom-get [role=alert]");
    await field.fill("peerloom:get/abc");
    await field.press("Enter");
    await expect.poll(() => alert.first().textContent(), PATIENCE).toContain("files/ticket-invalid");

    const gone = await stage.openPeer({});
    const { ticket } = await gone.files.share(new Blob(["gone"]), { name: "gone.txt" });
    await gone.close();
    await field.fill(ticket);
    await field.press("Enter");
    await page.getByRole("button", { name: "Get it" }).click();
    await page.getByRole("button", { name: "Stop" }).click();
    await expect.poll(() => alert.last().textContent(), PATIENCE).toBe("Stopped.");
    await page.getByRole("button", { name: "Try again" }).waitFor();

    const { ticket: there } = await terminal.files.share(new Blob(["here"]), { name: "here.txt" });
    await field.fill(there);
    await field.press("Enter");
    expect((await getIn(page)).name).toBe("here.txt");
  },
);

browserTest(
  "tabs beside each other are peers of their own, and the picture shows who is linked and how",
  async () => {
    const ids = async (page: Page): Promise<string> =>
      /You are (\w+)…/.exec((await page.locator("peerloom-status [role=status]").textContent()) ?? "")?.[1] ??
      "";
    // One after the other, or either might be the one that has the kept identity.
    const first = await openPage(stage.browser, "/?network=tabs");
    await expect.poll(() => ids(first), PATIENCE).not.toBe("");
    const second = await openPage(stage.browser, "/?network=tabs");
    for (const page of [first, second])
      await expect.poll(() => page.locator("peerloom-status tbody tr").count(), PATIENCE).toBe(1);
    expect(await ids(first)).not.toBe(await ids(second));
    const row = first.locator("peerloom-status tbody tr");
    await expect.poll(() => row.textContent(), PATIENCE).toContain("webrtc");
    expect(await row.textContent()).toContain(await ids(second));
    const picture = first.locator("peerloom-status canvas");
    await expect.poll(() => picture.getAttribute("aria-label"), PATIENCE).toContain("1 direct");
    // The kept identity comes back when its tab does.
    const kept = await ids(first);
    await first.close();
    // The browser takes its time over what a closed tab held.
    const isHeld = async (): Promise<boolean> =>
      (await second.evaluate(() => navigator.locks.query())).held?.some(({ name }) =>
        name?.endsWith(" tabs"),
      ) ?? false;
    await expect.poll(isHeld, PATIENCE).toBe(false);
    const again = await openPage(stage.browser, "/?network=tabs");
    await expect.poll(() => ids(again), PATIENCE).toBe(kept);
  },
);
