/**
 * A page that works: on the edge's own page, whose policy allows no WebAssembly, and on a page of another origin with and without leave to.
 * What runs there may reach nothing; a loop without end costs the page its worker and nothing else.
 */
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type EmbeddedEdge, startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { Peer } from "../../peer/node.ts";
import { collect, text } from "../integration/work.ts";
import * as modules from "../wasm/modules.ts";
import { type Chromium, findChromium, startChromium } from "./chromium.ts";

const executable = await findChromium();
if (executable === undefined) console.warn("Skipped: no Chromium on the PATH.");

let edge: EmbeddedEdge;
let browser: Chromium;
let asker: Peer;
let site: Server;
let siteUrl: string;
/** Of the page on another origin. */
let policy = "";

beforeAll(async () => {
  if (executable === undefined) return;
  edge = await startEmbeddedEdge();
  browser = await startChromium(executable);
  asker = await Peer.open({ edge: edge.url, network: "work", iceServers: [], lan: false });
  site = createServer((_, response) => {
    response.setHeader("content-type", "text/html").setHeader("content-security-policy", policy);
    response.end("<!doctype html><title>another origin</title>");
  }).listen(0, "127.0.0.1");
  await once(site, "listening");
  siteUrl = `http://127.0.0.1:${(site.address() as AddressInfo).port}/`;
});

afterAll(async () => {
  await asker?.close();
  await browser?.close();
  site?.close();
  await edge?.stop();
});

declare const PagePeer: typeof Peer;
declare const peer: Peer;

/** Opens a page with a peer in it that works. @returns its id, or the code why it does not */
async function workingPage(url: string): Promise<{ id: string; close(): Promise<void> }> {
  const page = await browser.open(url);
  // As text: the test runner rewrites an import() in code.
  await page.evaluate(`import("${edge.url}/peer.js").then(({ Peer }) => { globalThis.PagePeer = Peer; })`);
  const id = await page.evaluate(
    async (options) => {
      const opened = await PagePeer.open(options);
      Object.assign(globalThis, { peer: opened });
      try {
        await opened.compute.work({ slots: 1, taskMs: 1_000 });
        return opened.id;
      } catch (error) {
        return (error as { code: string }).code;
      }
    },
    { edge: edge.url, network: "work", identity: "fresh", iceServers: [] } as const,
  );
  return {
    id,
    close: async () => {
      await page.evaluate(() => peer.close());
      await page.close();
    },
  };
}

test.skipIf(executable === undefined).for([
  ["the edge's own page", undefined],
  ["a page elsewhere", "worker-src blob:; script-src 'wasm-unsafe-eval' http:"],
] as const)("%s works for a Node peer, and outlives a module that never ends", async ([, pagePolicy]) => {
  policy = pagePolicy ?? "";
  const page = await workingPage(pagePolicy === undefined ? edge.url : siteUrl);
  const options = { workers: [page.id], discover: false };
  const results = await collect(asker.compute.map(modules.increment, ["HAL", "VMS"], options));
  expect([0, 1].map((index) => text(results.get(index)?.value))).toEqual(["IBM", "WNT"]);
  expect(results.get(0)?.by).toEqual([page.id]);
  await expect(collect(asker.compute.map(modules.spin, ["x"], options))).rejects.toMatchObject({
    code: "compute/time-limit",
  });
  expect((await collect(asker.compute.map(modules.echo, ["x"], options))).size).toBe(1);
  await page.close();
});

test.skipIf(executable === undefined)("a page without leave to run modules says so", async () => {
  policy = "worker-src blob:; script-src http:";
  const page = await workingPage(siteUrl);
  expect(page.id).toBe("compute/unavailable");
  await page.close();
});

test.skipIf(executable === undefined)(
  "the edge's worker may reach nothing, not even its own edge",
  async () => {
    const response = await fetch(`${edge.url}/compute-worker.js`);
    expect(response.headers.get("content-security-policy")).toBe(
      "default-src 'none'; script-src 'wasm-unsafe-eval'",
    );
    expect((await fetch(edge.url)).headers.get("content-security-policy")).not.toContain("wasm-unsafe-eval");
  },
);
