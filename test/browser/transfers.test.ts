/** Files on a page, as people handle them: several at once, by the keyboard, by ear, dropped, by QR code, in an element that goes. */
import { randomBytes } from "node:crypto";
import type { Page } from "playwright-core";
import { encode } from "uqr";
import { expect } from "vitest";
import type { Peer } from "../../peer/node.ts";
import { browserTest, Stage } from "./stage.ts";

const PATIENCE = { timeout: 30_000 };
const NETWORK = "transfers";
/** Slow enough to be stopped. */
const UPLOAD_BYTES_PER_SECOND = 400_000;

let terminal: Peer;
const stage = Stage.set(async () => {
  terminal = await stage.openPeer({ network: NETWORK, uploadLimit: UPLOAD_BYTES_PER_SECOND });
});

async function shareHere(name: string, bytes: number): Promise<string> {
  return (await terminal.files.share(new Blob([randomBytes(bytes)]), { name })).ticket;
}

async function openLink(page: Page, ticket: string): Promise<void> {
  const field = page.getByRole("textbox", { name: "Link or ticket" });
  await field.fill(ticket);
  await field.press("Enter");
}

/** What the focus is on, in the element whose it is. */
function focused(page: Page): Promise<string> {
  return page.evaluate(`{
    const { activeElement } = document;
    (activeElement?.shadowRoot?.activeElement ?? activeElement)?.textContent ?? "";
  }`);
}

browserTest(
  "a download goes on beside a second one, and is told to those who listen and who use the keyboard",
  async () => {
    const page = await stage.browser.open(`${stage.edge.url}/?network=${NETWORK}`);
    const large = page.locator("peerloom-get .offer", { hasText: "large.bin" });
    const small = page.locator("peerloom-get .offer", { hasText: "small.bin" });
    await openLink(page, await shareHere("large.bin", 3_000_000));
    await expect.poll(() => focused(page)).toBe("Get it");
    await page.evaluate(`{
    globalThis.told = [];
    const state = document.querySelector("peerloom-get").shadowRoot.querySelector("[role=status]");
    new MutationObserver(() => told.push(state.textContent)).observe(state, { childList: true, characterData: true, subtree: true });
  }`);
    await page.keyboard.press("Enter");
    expect(await focused(page)).toBe("Stop");
    await large.getByText(/ of 3\.0 MB/).waitFor();

    await openLink(page, await shareHere("small.bin", 1_000));
    await large.getByRole("button", { name: "Stop" }).waitFor();
    const saving = page.waitForEvent("download");
    await small.getByRole("button", { name: "Get it" }).click();
    expect((await saving).suggestedFilename()).toBe("small.bin");
    await large.getByText("All there and verified").waitFor();
    expect(await small.getByText("All there and verified").count()).toBe(1);
    // Figures come several times a second, and are not read out.
    expect(await page.evaluate("told")).toEqual([
      "Looking for somebody who has it …",
      "It is on its way.",
      expect.stringContaining("All there and verified"),
    ]);
    await page.close();
  },
);

browserTest(
  "an element that is moved goes on, one that is taken away stops, and none takes the focus by itself",
  async () => {
    const page = await stage.browser.open(`${stage.edge.url}/?network=${NETWORK}`);
    await page.locator("peerloom-status").waitFor();
    const ticket = await shareHere("long.bin", 4_000_000);
    await page.evaluate(`{
    globalThis.get = document.createElement("peerloom-get");
    get.setAttribute("ticket", ${JSON.stringify(ticket)});
    document.body.append(get);
  }`);
    expect(await page.evaluate("document.activeElement === document.body")).toBe(true);
    const offer = page.locator("peerloom-get .offer");
    await offer.getByRole("button", { name: "Get it" }).click();
    await offer.getByText(/ of 4\.0 MB/).waitFor();
    await page.evaluate("document.querySelector('main').append(get)");
    expect(await page.evaluate("get.shadowRoot.querySelector('.row').textContent")).toBe("Stop");
    await page.evaluate("get.remove()");
    const error = (): Promise<string> =>
      page.evaluate("get.shadowRoot.querySelector('.offer .error').textContent");
    await expect.poll(error, PATIENCE).toBe("Stopped.");
    await page.close();
  },
);

browserTest(
  "a file that is dropped has a link and a QR code of it, until its element is taken away",
  async () => {
    const page = await stage.browser.open(`${stage.edge.url}/?network=${NETWORK}`);
    await page.locator("peerloom-share .drop").waitFor();
    await page.evaluate(`{
    const data = new DataTransfer();
    data.items.add(new File(["dropped here"], "dropped.txt"));
    globalThis.share = document.querySelector("peerloom-share");
    share.shadowRoot.querySelector(".drop").dispatchEvent(
      new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }),
    );
  }`);
    const field = page.locator("peerloom-share input.link");
    await field.waitFor();
    const link = await field.inputValue();
    expect(await (await terminal.files.get(link).blob()).text()).toBe("dropped here");

    await page.getByRole("button", { name: "QR code" }).click();
    const drawn = await page.locator("peerloom-share svg path").getAttribute("d");
    const dark = encode(link, { ecc: "L", border: 4 }).data.flatMap((row, y) =>
      row.flatMap((isDark, x) => (isDark ? [`${x} ${y}`] : [])),
    );
    expect(
      drawn
        ?.split("M")
        .slice(1)
        .map((module) => module.replace("h1v1h-1z", "")),
    ).toEqual(dark);

    const isServed = (): Promise<boolean> =>
      page.evaluate(
        "share.shadowRoot.querySelector('[role=status]').textContent.includes('1 share is served')",
      );
    await page.evaluate("document.body.append(share)");
    expect(await isServed()).toBe(true);
    await page.evaluate("share.remove()");
    await expect.poll(isServed, PATIENCE).toBe(false);
    await page.evaluate("document.body.append(share)");
    await expect.poll(isServed, PATIENCE).toBe(true);
    expect(await (await terminal.files.get(link).blob()).text()).toBe("dropped here");
    await page.getByRole("button", { name: "Stop sharing" }).click();
    expect(await page.evaluate("share.shadowRoot.activeElement?.getAttribute('aria-label')")).toBe(
      "Files to share",
    );
    await page.close();
  },
);
