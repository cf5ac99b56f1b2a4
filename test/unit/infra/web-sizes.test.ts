/** What a page loads stays within its budget, and needs nothing that a strict policy forbids. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundleWeb } from "../../../infra/bundle.ts";
import { WEB_BUDGET, type WebSizes } from "../../../infra/web-sizes.ts";
import { ANSWERED_ON_DEMAND } from "../../../peer/api/parts-on-demand.ts";
import { FILES_PROTOCOL } from "../../../peer/services/files/protocol.ts";
import { TOPIC_PROTOCOL } from "../../../peer/services/topics/protocol.ts";
import { SEARCH_PROTOCOL } from "../../../peer/services/search/protocol.ts";

let folder = "";
let sizes: WebSizes;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "peerloom-web-"));
  sizes = await bundleWeb(join(folder, "web"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("the core stays within its budget, and with every capability the whole does", () => {
  expect(sizes.core.gzipBytes).toBeLessThanOrEqual(WEB_BUDGET.coreGzipBytesMax);
  expect(sizes.all.gzipBytes).toBeLessThanOrEqual(WEB_BUDGET.allGzipBytesMax);
});

test("the core is loaded in a few requests, and each capability is a part of its own", () => {
  expect(sizes.core.files).toBeLessThanOrEqual(5);
  const parts = sizes.parts.map(({ name }) => name);
  for (const name of [
    "files/files",
    "records/records",
    "feeds/feeds",
    "compute/compute",
    "rpc/rpc",
    "search/search",
    "topics/topics",
  ])
    expect(parts).toContain(`services/${name}.ts`);
  expect(parts).toContain("api/weave.ts");
  expect(parts).toContain("api/private-network.ts");
  expect(parts).toContain("api/diagnosis/diagnose.ts");
  expect(parts.filter((name) => /ports|lan-|tcp|nat-probe/.test(name))).toEqual([]);
});

test("nothing that asks a gateway travels to a page, which has no sockets for it", async () => {
  for (const name of await readdir(join(folder, "web")))
    expect(await readFile(join(folder, "web", name), "utf8")).not.toContain("M-SEARCH");
});

test("no code is made from text at run time", async () => {
  for (const name of await readdir(join(folder, "web"))) {
    const text = await readFile(join(folder, "web", name), "utf8");
    expect(text).not.toMatch(/\beval\s*\(|new Function\b|setTimeout\(\s*["'`]/);
  }
});

test("a page answers for a service that is not loaded under the service's own name", () => {
  expect(ANSWERED_ON_DEMAND).toEqual({
    files: FILES_PROTOCOL,
    search: SEARCH_PROTOCOL,
    topics: TOPIC_PROTOCOL,
  });
});
