/** What a page fetches lies in its origin's files: others are given all of it, another visit goes on from there, and it takes no more room than it may. */
import { createHash, randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import { describe, expect } from "vitest";
import type { DownloadProgress, Giver, Peer } from "../../peer/node.ts";
import { formatTicket, parseTicket } from "../../peer/services/files/ticket.ts";
import { parsePeerId } from "../../shared/ids.ts";
import { STORE_CLAIMS } from "../contract/store.ts";
import type { Browser } from "./browsers.ts";
import { browserTest, chromiumTest, Stage } from "./stage.ts";

/** More than who only reads it goes on serving. */
const LARGE_BYTES = 20_000_000;
const SLOW_BYTES = 12_000_000;
const SLOW_BYTES_PER_SECOND = 4_000_000;
const BEFORE_BYTES = 4_000_000;
const GIBIBYTE = 1024 ** 3;

declare const PagePeer: typeof Peer;
declare let peer: Peer;
declare let saving: Promise<unknown>;
declare let originFiles: typeof import("./origin-store-page.ts");

let there: Browser;
let slow: Peer;
let storeCode: string;
const stage = Stage.set(async () => {
  there = await stage.startBrowser();
  slow = await stage.openPeer({ uploadLimit: SLOW_BYTES_PER_SECOND });
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("origin-store-page.ts", import.meta.url))],
    bundle: true,
    write: false,
    format: "iife",
    globalName: "originFiles",
    // It is evaluated in a function.
    footer: { js: "globalThis.originFiles = originFiles;" },
    platform: "browser",
    target: "es2024",
  });
  storeCode = outputFiles[0]?.text ?? "";
});

interface Got {
  readonly sha256: string;
  readonly name: string;
  readonly fetched: number;
  /** Bytes that were there at the first progress; undefined: there was none. */
  readonly began: number | undefined;
  readonly givers: readonly Giver[];
}

/** A page with a peer of its own. */
async function openPage(browser: Browser = stage.browser): Promise<Page> {
  const page = await stage.openPage(browser);
  await openPeer(page);
  return page;
}

function openPeer(page: Page): Promise<string> {
  return page.evaluate(
    async (options) => {
      peer = await PagePeer.open(options);
      return peer.id;
    },
    { iceServers: [], identity: "fresh" },
  );
}

/** The same page again, as after a reload by hand. */
async function reload(page: Page): Promise<void> {
  await page.reload();
  await stage.importRuntime(page);
  await openPeer(page);
}

/** Saves it, and goes on giving it. @throws its error's code */
function get(page: Page, ticket: string): Promise<Got> {
  return page.evaluate(async (text) => {
    const download = peer.files.get(text, { seed: true });
    let began: number | undefined;
    download.addEventListener("progress", (event) => {
      began ??= (event as CustomEvent<DownloadProgress>).detail.bytes;
    });
    const { file, by } = await download.saveTo().catch((error: { code: string }) => {
      throw new Error(error.code);
    });
    const digest = await crypto.subtle.digest("SHA-256", (await file?.arrayBuffer()) ?? new ArrayBuffer(0));
    const sha256 = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const fetched = by.direct + by.relay;
    return { sha256, name: file?.name ?? "", fetched, began, givers: download.givers };
  }, ticket);
}

/** Resolves when so much has come; the download goes on. */
function begin(page: Page, ticket: string): Promise<void> {
  return page.evaluate(
    ([text, bytes]) =>
      new Promise<void>((resolve, reject) => {
        const download = peer.files.get(text);
        download.addEventListener("progress", (event) => {
          if ((event as CustomEvent<DownloadProgress>).detail.bytes >= bytes) resolve();
        });
        saving = download.saveTo();
        saving.catch(reject);
      }),
    [ticket, BEFORE_BYTES] as const,
  );
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function share(from: Peer, content: Uint8Array<ArrayBuffer>): Promise<string> {
  return (await from.files.share(new Blob([content]), { name: "film.bin" })).ticket;
}

describe("a page's file system passes the contract of stores", () => {
  for (const claim of Object.keys(STORE_CLAIMS)) {
    browserTest(claim, async () => {
      const page = await stage.browser.open(stage.edge.url);
      await page.evaluate(storeCode);
      expect(await page.evaluate((each) => originFiles.check(each), claim)).toBe("");
      await page.close();
    });
  }
});

browserTest("what a page has it gives whole, after a reload too, when its source is gone", async () => {
  const content = randomBytes(LARGE_BYTES);
  const source = await stage.openPeer({});
  const ticket = await share(source, content);
  const first = await openPage();
  expect(await get(first, ticket)).toMatchObject({
    sha256: sha256(content),
    name: "film.bin",
    fetched: LARGE_BYTES,
    givers: [{ id: source.id }],
  });
  await source.close();
  await reload(first);
  const kept = await get(first, ticket);
  expect(kept).toMatchObject({ sha256: sha256(content), fetched: 0, givers: [] });

  const id = parsePeerId(await first.evaluate(() => peer.id));
  if (id === undefined) throw new Error("the page has no id");
  const { providers, ...named } = parseTicket(ticket);
  const both = formatTicket({ ...named, providers: [...providers, { id, addresses: [] }] });
  const second = await openPage(there);
  expect(await get(second, both)).toMatchObject({
    sha256: sha256(content),
    fetched: LARGE_BYTES,
    givers: [{ id }],
  });
  await first.close();
  await second.close();
});

browserTest("a download that a reload cut off goes on where it was", async () => {
  const content = randomBytes(SLOW_BYTES);
  const ticket = await share(slow, content);
  const page = await openPage();
  await begin(page, ticket);
  await reload(page);
  const got = await get(page, ticket);
  expect(got.sha256).toBe(sha256(content));
  expect(got.fetched).toBeLessThanOrEqual(SLOW_BYTES - BEFORE_BYTES);
  await page.close();
});

browserTest("of two tabs one gets it, and the other has it when it is there", async () => {
  const content = randomBytes(SLOW_BYTES);
  const ticket = await share(slow, content);
  const [one, other] = [await openPage(), await openPage()];
  await begin(one, ticket);
  slow.files.limit({ upload: 100_000 });
  await expect(get(other, ticket)).rejects.toThrow("files/locked");
  slow.files.limit({ upload: SLOW_BYTES_PER_SECOND });
  await one.evaluate(() => saving);
  // Who is done with it takes it from nobody.
  await one.evaluate(async (text) => (await peer.files.get(text).saveTo()).forget?.(), ticket);
  expect(await get(other, ticket)).toMatchObject({ sha256: sha256(content), fetched: 0 });
  await one.close();
  await other.close();
});

browserTest("a page without such files keeps it in memory", async () => {
  const content = randomBytes(1_000_000);
  const ticket = await share(slow, content);
  for (const lost of ["navigator.storage.constructor.prototype.getDirectory", "globalThis.Worker"]) {
    const page = await stage.browser.open(stage.edge.url, (made) =>
      made.addInitScript(`${lost} = function () { throw new DOMException("not here", "SecurityError"); }`),
    );
    await stage.importRuntime(page);
    await openPeer(page);
    expect(await get(page, ticket)).toMatchObject({ sha256: sha256(content), name: "film.bin" });
    await page.close();
  }
});

chromiumTest("what no page uses goes, the oldest first, where it is too much or in the way", async () => {
  const browser = await stage.startBrowser();
  const page = await browser.open(stage.edge.url);
  await page.evaluate(storeCode);
  const leave = (name: string, bytes: number): Promise<string[]> =>
    page.evaluate(([each, length]) => originFiles.leave(each, length), [name, bytes] as const);
  expect(await leave("a", 0.8 * GIBIBYTE)).toEqual(["a"]);
  expect(await leave("b", 0.8 * GIBIBYTE)).toEqual(["a", "b"]);
  expect(await leave("c", 0.8 * GIBIBYTE)).toEqual(["a", "b", "c"]);
  expect(await leave("d", 1_000)).toEqual(["b", "c", "d"]);

  const debug = await page.context().newCDPSession(page);
  const { usage = 0 } = await page.evaluate(() => navigator.storage.estimate());
  const quotaSize = usage + 10_000_000;
  await debug.send("Storage.overrideQuotaForOrigin", { origin: stage.edge.url, quotaSize });
  expect(await leave("e", 100_000_000)).toEqual(["c", "d", "e"]);
  await page.close();
});
