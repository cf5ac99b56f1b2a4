/**
 * A page that works: on the edge's own page, whose policy allows no WebAssembly, and on a page of another origin with and without leave to.
 * What runs there may reach nothing; a loop without end costs the page its worker and nothing else.
 */
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterAll, expect } from "vitest";
import type { Peer } from "../../peer/node.ts";
import { collect, text } from "../integration/work.ts";
import * as modules from "../wasm/modules.ts";
import { browserTest, Stage } from "./stage.ts";

let asker: Peer;
let site: Server | undefined;
let siteUrl: string;
/** Of the page on another origin. */
let policy = "";

const stage = Stage.set(async () => {
  asker = await stage.openPeer({ network: "work" });
  site = createServer((_, response) => {
    response.setHeader("content-type", "text/html").setHeader("content-security-policy", policy);
    response.end("<!doctype html><title>another origin</title>");
  }).listen(0, "127.0.0.1");
  await once(site, "listening");
  siteUrl = `http://127.0.0.1:${(site.address() as AddressInfo).port}/`;
});

declare const PagePeer: typeof Peer;
declare const peer: Peer;

afterAll(() => void site?.close());

/** Opens a page with a peer in it that works. @returns its id, or the code why it does not */
async function workingPage(url: string): Promise<{ id: string; close(): Promise<void> }> {
  const page = await stage.browser.open(url);
  await stage.importRuntime(page);
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
    { edge: stage.edge.url, network: "work", identity: "fresh", iceServers: [] } as const,
  );
  return {
    id,
    close: async () => {
      await page.evaluate(() => peer.close());
      await page.close();
    },
  };
}

browserTest.for([
  ["the edge's own page", undefined],
  ["a page elsewhere", "worker-src blob:; script-src 'wasm-unsafe-eval' http:"],
] as const)("%s works for a Node peer, and outlives a module that never ends", async ([, pagePolicy]) => {
  policy = pagePolicy ?? "";
  const page = await workingPage(pagePolicy === undefined ? stage.edge.url : siteUrl);
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

browserTest("a page without leave to run modules says so", async () => {
  policy = "worker-src blob:; script-src http:";
  const page = await workingPage(siteUrl);
  expect(page.id).toBe("compute/unavailable");
  await page.close();
});

browserTest("the edge's worker may reach nothing, not even its own edge", async () => {
  const response = await fetch(`${stage.edge.url}/compute-worker.js`);
  expect(response.headers.get("content-security-policy")).toBe(
    "default-src 'none'; script-src 'wasm-unsafe-eval'",
  );
  expect((await fetch(stage.edge.url)).headers.get("content-security-policy")).not.toContain(
    "wasm-unsafe-eval",
  );
});
