/** The edge's bundle is made once for each state of the sources, and again whenever the cache cannot give all of it. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BUNDLES_KEPT_MAX, cachedBundle } from "../../../infra/bundle-cache.ts";

let folder: string;
let cache: string;
let made: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "peerloom-bundle-cache-"));
  cache = join(folder, "cache");
  made = [];
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** An edge's start with the sources in that state. @returns what it would serve */
async function start(edge: string, sources: string): Promise<readonly [worker: string, page: string]> {
  const webDir = join(folder, edge);
  const worker = await cachedBundle(cache, sources, webDir, async () => {
    made.push(sources);
    await mkdir(webDir, { recursive: true });
    await writeFile(join(webDir, "page.js"), `page of ${sources}`);
    return `worker of ${sources}`;
  });
  return [worker, await readFile(join(webDir, "page.js"), "utf8")];
}

test("the second start makes nothing, and serves the same from files of its own", async () => {
  const first = await start("a", "x");
  await rm(join(folder, "a"), { recursive: true });
  expect(await start("b", "x")).toEqual(first);
  expect(made).toEqual(["x"]);
});

test("changed sources are bundled again, and so are the old ones no sooner than they have to be", async () => {
  await start("a", "x");
  expect(await start("b", "y")).toEqual(["worker of y", "page of y"]);
  expect(await start("c", "x")).toEqual(["worker of x", "page of x"]);
  expect(made).toEqual(["x", "y"]);
});

test("starts at the same time each get all of it, and leave one copy", async () => {
  const served = await Promise.all(["a", "b", "c", "d"].map((edge) => start(edge, "x")));
  for (const one of served) expect(one).toEqual(["worker of x", "page of x"]);
  expect(await readdir(cache)).toEqual(["x"]);
});

test("a cache that lost a part, or that cannot be written, costs time and nothing else", async () => {
  await start("a", "x");
  await rm(join(cache, "x", "web"), { recursive: true });
  expect(await start("b", "x")).toEqual(["worker of x", "page of x"]);
  await rm(cache, { recursive: true });
  await writeFile(cache, "a file in its place");
  expect(await start("c", "x")).toEqual(["worker of x", "page of x"]);
});

test("it is bounded", async () => {
  for (let i = 0; i <= BUNDLES_KEPT_MAX; i++) await start(`edge-${i}`, `sources-${i}`);
  expect(await readdir(cache)).toHaveLength(BUNDLES_KEPT_MAX);
});
