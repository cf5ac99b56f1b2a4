/**
 * A page that works: on the edge's own page, whose policy allows no WebAssembly, and on a page of another origin with and without leave to.
 * What runs there may reach nothing; a loop without end costs the page its worker and nothing else.
 */
import { writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, expect, onTestFinished } from "vitest";
import { nodeSandboxes } from "../../peer/adapters/node/sandbox.ts";
import type { Peer } from "../../peer/node.ts";
import { mandelbrot } from "../examples/mandelbrot.ts";
import { Command, finish, temporaryFolder } from "../integration/command.ts";
import { collect, pretendToWork, text } from "../integration/work.ts";
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

const SANDBOX_LIMITS = { outputBytesMax: 65_536, memoryBytesMax: 1024 * 1024 };

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

browserTest(
  "run, on a page, a process and one that lies: every result is right, and the liar is found out",
  async () => {
    const page = await workingPage(stage.edge.url);
    const where = ["--edge", stage.edge.url, "--network", "work", "--no-lan"];
    const working = new Command(["work", "--slots", "1", ...where, "--data", await temporaryFolder()]);
    const { id } = await working.wait("ready");
    const liar = await stage.openPeer({ network: "work" });
    pretendToWork(liar, (task) => ({ kind: "result", id: task.id, output: Uint8Array.of(66) }));
    const folder = await temporaryFolder();
    await writeFile(join(folder, "mandelbrot.wasm"), mandelbrot);
    // Work for seconds: of less the two that are honest have done all before the third is connected.
    const [width, height] = [1024, 200];
    const rows = Array.from(
      { length: height },
      (_, row) => new Uint8Array(Uint32Array.of(row, width, height).buffer),
    );
    await Promise.all(rows.map((row, i) => writeFile(join(folder, `row-${i}`), row)));
    const inputs = rows.map((_, i) => `row-${i}`);
    const workers = [page.id, String(id), liar.id];
    const run = await finish(
      ["run", "mandelbrot.wasm", "--copies", "3", "--input", ...inputs, "--workers", ...workers, ...where],
      { folder },
    );
    expect(run.code, run.stderr).toBe(0);
    const sandbox = nodeSandboxes.start();
    onTestFinished(() => sandbox.kill());
    await sandbox.load(mandelbrot);
    for (const { index, value, encoding, by } of run.events.filter(({ event }) => event === "result")) {
      const right = await sandbox.run(rows[Number(index)] ?? new Uint8Array(0), SANDBOX_LIMITS);
      expect(Buffer.from(String(value), encoding === "base64url" ? encoding : "utf8")).toEqual(
        Buffer.from(right),
      );
      expect(new Set(by as string[])).toEqual(new Set([page.id, id]));
    }
    expect(run.events.at(-1)).toEqual({ event: "done", results: height, workers: 2, rejected: 1 });
    await page.close();
  },
);

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
