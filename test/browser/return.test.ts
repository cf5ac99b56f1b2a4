/** A page that comes back to find its identity in another tab: it goes on as another peer, with its room and its files. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { expect } from "vitest";
import { temporaryFolder } from "../integration/command.ts";
import { chromiumTest, Stage } from "./stage.ts";

const PATIENCE = { timeout: 30_000 };
const NETWORK = "return";
const stage = Stage.set();

function stateOf(page: Page, name: "status" | "chat"): Promise<string | null> {
  return page.locator(`peerloom-${name} [role=status]`).textContent();
}

async function idOf(page: Page): Promise<string> {
  return /You are (\w+)…/.exec((await stateOf(page, "status")) ?? "")?.[1] ?? "";
}

async function sayIn(page: Page, text: string): Promise<void> {
  const field = page.getByRole("textbox", { name: "Message" });
  await field.fill(text);
  await field.press("Enter");
}

// Firefox keeps no page that has a WebSocket open.
chromiumTest("a page whose identity another tab has taken talks and shares on as another peer", async () => {
  const terminal = await stage.openPeer({ network: NETWORK });
  const room = terminal.topic("lounge");
  const heard = room[Symbol.asyncIterator]();
  const path = join(await temporaryFolder(), "kept.txt");
  await writeFile(path, "still here");
  const url = `${stage.edge.url}/?network=${NETWORK}`;
  const page = await stage.browser.open(url);
  await expect.poll(() => stateOf(page, "chat"), PATIENCE).toContain("1 neighbour is here");
  const id = await idOf(page);
  await page.setInputFiles("peerloom-share input[type=file]", path);
  const link = page.locator("peerloom-share input.link");
  await link.waitFor();
  const linkBefore = await link.inputValue();
  await sayIn(page, "before");
  expect((await heard.next()).value?.value).toBe("before");

  await page.goto(`${stage.edge.url}/health`);
  const second = await stage.browser.open(url);
  await expect.poll(() => idOf(second), PATIENCE).toBe(id);
  await room.publish("meanwhile");
  await page.goBack({ waitUntil: "commit" });

  await expect.poll(() => idOf(page), PATIENCE).not.toBe(id);
  await expect.poll(() => stateOf(page, "chat"), PATIENCE).toMatch(/neighbours? (is|are) here/);
  await page.locator("peerloom-chat .said .text", { hasText: "meanwhile" }).waitFor();
  await sayIn(page, "after");
  const { value } = await heard.next();
  expect(value?.value).toBe("after");
  expect(value?.from.startsWith(await idOf(page))).toBe(true);
  const texts = await page.locator("peerloom-chat .said .text").allTextContents();
  expect(texts).toEqual(["before", "meanwhile", "after"]);

  await link.waitFor();
  expect(await link.inputValue()).not.toBe(linkBefore);
  expect(await (await terminal.files.get(await link.inputValue()).blob()).text()).toBe("still here");
  // The other tab was left in peace.
  expect(await idOf(second)).toBe(id);
  expect(await stateOf(second, "status")).not.toContain("edge");
  await Promise.all([page.close(), second.close()]);
});
