/** The examples that are pages, as they stand, each opened in Chromium and used as a user would. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { build } from "vite";
import { type EmbeddedEdge, startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { type Browser, findOnPath } from "../browser/browsers.ts";
import { CHROMIUM_NAMES, startChromium } from "../browser/chromium.ts";
import { serveFolder } from "./pages.ts";
import { openService } from "./rpc-service/service.ts";

const TIMEOUT_MS = 30_000;

const executable = await findOnPath(CHROMIUM_NAMES);
if (executable === undefined) console.warn("Skipped: no Chromium on the PATH.");

let edge: EmbeddedEdge;
let browser: Browser;

beforeAll(async () => {
  if (executable === undefined) return;
  edge = await startEmbeddedEdge();
  browser = await startChromium(executable);
});

afterAll(async () => {
  await browser?.close();
  await edge?.stop();
});

const folderOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const onThisEdge = (text: string): string => text.replaceAll("https://edge.example", edge.url);

async function open(url: string): Promise<Page> {
  const page = await browser.open(url);
  page.setDefaultTimeout(TIMEOUT_MS);
  onTestFinished(() => page.close());
  return page;
}

/** What an output says as soon as it says something. */
async function said(page: Page, id: string): Promise<string> {
  const output = page.locator(`#${id}:not(:empty)`);
  await output.waitFor();
  return (await output.textContent()) ?? "";
}

test.skipIf(executable === undefined)("script tag: two tabs chat", async () => {
  const url = await serveFolder(folderOf("script-tag"), onThisEdge);
  const [left, right] = [await open(url), await open(url)];
  await left.fill("#to", await said(right, "own"));
  await left.fill("#text", "hello");
  await left.click("button");
  await right.waitForSelector("#heard > li");
  expect(await right.textContent("#heard")).toBe(`${(await said(left, "own")).slice(0, 8)}: hello`);
});

test.skipIf(executable === undefined)("a Node service answers pages", async () => {
  const service = await openService(edge.url);
  onTestFinished(() => service.close());
  const page = await open(`${await serveFolder(folderOf("rpc-service"), onThisEdge)}#${service.id}`);
  await page.waitForSelector("#states > li:nth-child(3)");
  expect(await page.locator("#states > li").allTextContents()).toEqual([
    "order 7 is packed",
    "order 7 is sent",
    "order 7 is there",
  ]);
  await page.click("button");
  expect(await said(page, "price")).toBe("6");
  await page.fill("#name", "plum");
  await page.click("button");
  await page.locator("#price", { hasText: "There are no plums." }).waitFor();
});

test.skipIf(executable === undefined)(
  "a PeerJS application, with only host, port and path changed",
  async () => {
    const stock = createRequire(import.meta.url).resolve("peerjs/dist/peerjs.min.js");
    const { port } = new URL(edge.url);
    const url = await serveFolder(folderOf("peerjs"), (text) =>
      text
        .replace(
          'host: "edge.example", port: 443, path: "/peerjs", secure: true',
          () =>
            // No server on the internet is asked: neither the script's nor STUN's.
            `host: "127.0.0.1", port: ${port}, path: "/peerjs", config: { iceServers: [] }`,
        )
        .replace(/https:\/\/unpkg\.com\S+\.js/, "peerjs.min.js"),
    );
    const script = await readFile(stock, "utf8");
    const pages: Page[] = [];
    for (let n = 0; n < 2; n++) {
      const page = await open("about:blank");
      await page.route("**/peerjs.min.js", (route) =>
        route.fulfill({ body: script, contentType: "text/javascript" }),
      );
      await page.goto(url);
      pages.push(page);
    }
    const [left, right] = pages as [Page, Page];
    await left.fill("#to", await said(right, "own"));
    await left.fill("#text", "hello");
    await left.click("button");
    await right.waitForSelector("#heard > li");
    expect(await right.textContent("#heard")).toBe(`${(await said(left, "own")).slice(0, 8)}: hello`);
    await left.fill("#to", "nobody");
    await left.click("button");
    await left.waitForSelector("#heard > li");
    expect(await left.textContent("#heard")).toBe("error: peer-unavailable");
  },
);

test.skipIf(executable === undefined)("a Vite application, built and opened", async () => {
  const outDir = await mkdtemp(join(tmpdir(), "peerloom-vite-"));
  onTestFinished(() => rm(outDir, { recursive: true, force: true }));
  process.env["VITE_EDGE"] = edge.url;
  await build({
    configFile: join(folderOf("vite"), "vite.config.ts"),
    logLevel: "warn",
    build: { outDir, emptyOutDir: true },
  });
  const url = await serveFolder(outDir);
  const [left, right] = [await open(url), await open(url)];
  await left.fill("#to", await said(right, "own"));
  await left.click("button");
  expect(await said(left, "answer")).toMatch(/^\d{4}-\d\d-\d\dT/);
});
