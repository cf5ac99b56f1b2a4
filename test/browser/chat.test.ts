/** The page's room and what may go wrong around it, as people meet it: two pages and a terminal talk, an edge restarts, a file vanishes. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { expect } from "vitest";
import { startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { temporaryFolder } from "../integration/command.ts";
import { browserTest, Stage } from "./stage.ts";

const PATIENCE = { timeout: 30_000 };

const stage = Stage.set();

const said = (page: Page, text: string): Promise<void> =>
  page.locator("peerloom-chat .said .text", { hasText: text }).waitFor();

async function sayIn(page: Page, text: string, name = ""): Promise<void> {
  await page.getByRole("textbox", { name: "Your name" }).fill(name);
  const field = page.getByRole("textbox", { name: "Message" });
  await field.fill(text);
  await field.press("Enter");
}

browserTest("two pages and a terminal talk in a room, and who comes later reads the past", async () => {
  const terminal = await stage.openPeer({ network: "talk" });
  const room = terminal.topic("lounge");
  const heard = room[Symbol.asyncIterator]();
  const pages = [
    await stage.browser.open(`${stage.edge.url}/?network=talk`),
    await stage.browser.open(`${stage.edge.url}/?network=talk`),
  ] as const;
  for (const page of pages)
    await page.locator("peerloom-chat [role=status]", { hasText: "2 neighbours are here" }).waitFor();

  await sayIn(pages[0], "Is anybody there?", "Mira");
  await said(pages[1], "Is anybody there?");
  expect(await pages[1].locator("peerloom-chat .who").last().textContent()).toContain("Mira");
  expect((await heard.next()).value?.value).toEqual({ name: "Mira", text: "Is anybody there?" });
  await room.publish("Yes, a terminal.");
  for (const page of pages) await said(page, "Yes, a terminal.");
  // What is no saying, and what would be markup, is neither shown nor obeyed.
  await room.publish({ temperature: 21 });
  await room.publish("<img src=x onerror=alert(1)>");
  for (const page of pages) await said(page, "<img src=x");
  expect(await pages[0].locator("peerloom-chat .said").count()).toBe(3);

  const late = await stage.browser.open(`${stage.edge.url}/?network=talk`);
  await said(late, "Is anybody there?");
  for (const page of [...pages, late]) await page.close();
  await terminal.close();
});

browserTest(
  "two pages that no direct path joins talk all the same, and a terminal that has no WebRTC",
  async () => {
    // As behind a firewall: all that their agents may try is a TURN server, and there is none.
    const open = (): Promise<Page> =>
      stage.browser.open(`${stage.edge.url}/?network=firewall`, (page) =>
        page.addInitScript(`globalThis.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(configuration) { super({ ...configuration, iceTransportPolicy: "relay" }); }
      }`),
      );
    const pages = [await open(), await open()] as const;
    for (const page of pages)
      await page.locator("peerloom-chat [role=status]", { hasText: "1 neighbour is here" }).waitFor();
    const terminal = await stage.openPeer({ network: "firewall", webrtc: false });
    const room = terminal.topic("lounge");
    for (const page of pages)
      await page.locator("peerloom-chat [role=status]", { hasText: "2 neighbours are here" }).waitFor();
    await sayIn(pages[0], "Does anybody hear me?");
    await said(pages[1], "Does anybody hear me?");
    await room.publish("Both of you.");
    for (const page of pages) await said(page, "Both of you.");
    for (const { path } of terminal.sessions()) expect(path.kind).toBe("relay");
    for (const page of pages) await page.close();
    await terminal.close();
  },
);

browserTest("a page whose edge restarts says so, talks on, and is at the edge again", async () => {
  const pages = [
    await stage.browser.open(`${stage.edge.url}/?network=restart`),
    await stage.browser.open(`${stage.edge.url}/?network=restart`),
  ] as const;
  for (const page of pages)
    await page.locator("peerloom-chat [role=status]", { hasText: "1 neighbour is here" }).waitFor();
  const port = Number(new URL(stage.edge.url).port);
  await stage.edge.stop();
  const status = pages[0].locator("peerloom-status [role=status]");
  await expect.poll(() => status.textContent(), PATIENCE).toContain("The edge does not answer now");
  await sayIn(pages[0], "Still here?");
  await said(pages[1], "Still here?");
  stage.edge = await startEmbeddedEdge({ port });
  await expect.poll(() => status.textContent(), PATIENCE).not.toContain("does not answer");
  for (const page of pages) await page.close();
});

browserTest("a file that vanishes is told to the one who shares it and to the one who gets it", async () => {
  const folder = await temporaryFolder();
  const path = join(folder, "gone.txt");
  await writeFile(path, "here today");
  const page = await stage.browser.open(`${stage.edge.url}/?network=gone`);
  await page.setInputFiles("peerloom-share input[type=file]", path);
  const link = page.locator("peerloom-share input.link");
  await link.waitFor();
  const ticket = await link.inputValue();
  await rm(path);
  const alert = page.locator("peerloom-share li [role=alert]");
  await expect.poll(() => alert.textContent(), PATIENCE).toContain("cannot be read any more");
  const terminal = await stage.openPeer({ network: "gone" });
  await expect(terminal.files.get(ticket).blob()).rejects.toMatchObject({ code: "files/changed" });
  await terminal.close();
  // And it goes on.
  await writeFile(path, "here again");
  await page.setInputFiles("peerloom-share input[type=file]", path);
  await expect.poll(() => link.count(), PATIENCE).toBe(2);
  await page.close();
});
