/** The embedded edge hands out its web folder, and nothing beside it. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { webFile } from "../../../infra/web-files.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "peerloom-web-"));
  await mkdir(join(folder, "web", "parts"), { recursive: true });
  for (const name of [
    "secret.js",
    "web/index.html",
    "web/admin.html",
    "web/peer.js",
    "web/.hidden.js",
    "web/parts/a-1.js",
  ])
    await writeFile(join(folder, name), name);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test.each([
  ["/", "web/index.html", "text/html; charset=utf-8"],
  ["/index.html", "web/index.html", "text/html; charset=utf-8"],
  ["/admin", "web/admin.html", "text/html; charset=utf-8"],
  ["/peer.js", "web/peer.js", "text/javascript; charset=utf-8"],
  ["/parts/a-1.js", "web/parts/a-1.js", "text/javascript; charset=utf-8"],
])("%s is %s", async (path, content, type) => {
  const file = await webFile(join(folder, "web"), path);
  expect([new TextDecoder().decode(file?.bytes), file?.headers["content-type"]]).toEqual([content, type]);
});

test.each([
  "/../secret.js",
  "/parts/../../secret.js",
  "//secret.js",
  "/.hidden.js",
  "/parts",
  "/nothing.js",
  "/a%2e",
])("%s is nothing", async (path) => {
  expect(await webFile(join(folder, "web"), path)).toBeUndefined();
});
