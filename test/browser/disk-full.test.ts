/** A page that is given no more room while it saves: it says so, nothing of the part is left, and all else goes on. */
import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Page } from "playwright-core";
import { expect } from "vitest";
import type { Peer } from "../../peer/node.ts";
import { chromiumTest, Stage } from "./stage.ts";

const LARGE_BYTES = 12_000_000;
const ROOM_BYTES = 3_000_000;
const PATIENCE = { timeout: 30_000 };

let terminal: Peer;
const stage = Stage.set(async () => {
  terminal = await stage.openPeer({});
});

/** @returns the SHA-256 of what the page has saved, by a click on this button */
async function savedBy(page: Page, button: string): Promise<string> {
  const saving = page.waitForEvent("download", PATIENCE);
  await page.getByRole("button", { name: button }).click();
  return sha256(await readFile(await (await saving).path()));
}

async function openTicket(page: Page, ticket: string): Promise<void> {
  const field = page.getByRole("textbox", { name: "Link or ticket" });
  await field.fill(ticket);
  await field.press("Enter");
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Files that the page has for what it gets. */
function filesIn(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    let count = 0;
    for await (const _ of (await root.getDirectoryHandle("peerloom-downloads")).keys()) count += 1;
    return count;
  });
}

chromiumTest("a full disk is said, streams go on, and it is got once there is room", async () => {
  const small = randomBytes(100_000);
  const large = randomBytes(LARGE_BYTES);
  const { ticket: smallTicket } = await terminal.files.share(new Blob([small]), { name: "small.bin" });
  const { ticket: largeTicket } = await terminal.files.share(new Blob([large]), { name: "large.bin" });
  const page = await stage.browser.open(stage.edge.url);
  await openTicket(page, smallTicket);
  expect(await savedBy(page, "Get it")).toBe(sha256(small));
  await page.getByRole("button", { name: "Done" }).click();
  const [session] = terminal.sessions();
  const stream = await session?.open("ping/1");
  const writer = stream?.writable.getWriter();
  const reader = stream?.readable.getReader();
  const echo = async (byte: number): Promise<number | undefined> => {
    await writer?.write(Uint8Array.of(byte));
    return (await reader?.read())?.value?.[0];
  };
  expect(await echo(1)).toBe(1);

  const debug = await page.context().newCDPSession(page);
  const { usage = 0 } = await page.evaluate(() => navigator.storage.estimate());
  const origin = stage.edge.url;
  await debug.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: usage + ROOM_BYTES });
  await openTicket(page, largeTicket);
  await page.getByRole("button", { name: "Get it" }).click();
  const alert = page.locator("peerloom-get [role=alert]").last();
  await expect.poll(() => alert.textContent(), PATIENCE).toContain("files/disk-full");
  await expect.poll(() => filesIn(page), PATIENCE).toBe(0);
  expect(await echo(2)).toBe(2);
  expect(terminal.sessions()).toEqual([session]);

  await debug.send("Storage.overrideQuotaForOrigin", { origin });
  expect(await savedBy(page, "Try again")).toBe(sha256(large));
  expect(await echo(3)).toBe(3);
  await page.close();
});
