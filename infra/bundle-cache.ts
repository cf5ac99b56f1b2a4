/**
 * What the edge serves, bundled once for each state of the sources and kept in `node_modules/.cache`: an edge of a checkout starts a second
 * sooner from then on. The key is the content of all that a bundle is made from, so nothing served is ever older than its sources.
 */
import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleWeb, bundleWorker } from "./bundle.ts";

const root: string = fileURLToPath(new URL("..", import.meta.url));
/** All that a bundle is made from, the bundler's and the dependencies' versions among it. */
const SOURCES: readonly string[] = ["edge", "infra", "peer", "shared"];
const SETTINGS: readonly string[] = ["package-lock.json", "tsconfig.json"];
/** Kept at a time, 0.8 MB each: a few branches of one checkout. Past that the oldest goes. */
export const BUNDLES_KEPT_MAX = 8;

/** Makes the web folder at `webDir`, and returns the Worker's text. */
export type MakeBundle = (webDir: string) => Promise<string>;

/**
 * Fills `webDir`, which must not exist yet, with the web folder.
 * @returns the Worker's text
 */
export async function edgeBundle(webDir: string): Promise<string> {
  const folder = join(root, "node_modules", ".cache", "peerloom-edge");
  return cachedBundle(folder, await sourcesKey(), webDir, async () => {
    const [worker] = await Promise.all([bundleWorker(), bundleWeb(webDir)]);
    return worker;
  });
}

/** The same from a cache of one's own: what is in it is copied, since it may go at any time, and what is not is made and kept. */
export async function cachedBundle(
  folder: string,
  key: string,
  webDir: string,
  make: MakeBundle,
): Promise<string> {
  const cached = join(folder, key);
  try {
    const worker = await readFile(join(cached, "worker.js"), "utf8");
    await cp(join(cached, "web"), webDir, { recursive: true });
    return worker;
  } catch {
    // It is not there, or just goes.
  }
  await rm(webDir, { recursive: true, force: true });
  const worker = await make(webDir);
  // A checkout that cannot be written to has no cache, and works.
  await keep(folder, key, worker, webDir).catch(() => undefined);
  return worker;
}

/** Whole or not at all: others may look for it at the same time, and make it too. */
async function keep(folder: string, key: string, worker: string, webDir: string): Promise<void> {
  const unfinished = join(folder, `unfinished-${randomUUID()}`);
  try {
    await mkdir(unfinished, { recursive: true });
    await writeFile(join(unfinished, "worker.js"), worker);
    await cp(webDir, join(unfinished, "web"), { recursive: true });
    await rename(unfinished, join(folder, key));
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  const paths = (await readdir(folder)).map((name) => join(folder, name));
  const made = await Promise.all(paths.map(async (path) => ({ path, madeMs: (await stat(path)).mtimeMs })));
  const old = made.toSorted((a, b) => b.madeMs - a.madeMs).slice(BUNDLES_KEPT_MAX);
  for (const { path } of old) {
    // Out of the others' way first: whoever copies it now, or this process's end, would meet a part of it.
    const going = join(folder, `unfinished-${randomUUID()}`);
    await rename(path, going);
    await rm(going, { recursive: true, force: true });
  }
}

/** Some 440 files, 2 MB: read on the spot in a third of the time that as many promises take. */
async function sourcesKey(): Promise<string> {
  const hash = createHash("sha256");
  const add = (path: string): void => {
    hash
      .update(`${path.slice(root.length)}\0`)
      .update(readFileSync(path))
      .update("\0");
  };
  for (const name of SETTINGS) add(join(root, name));
  for (const folder of SOURCES) {
    const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    for (const path of files.map(({ parentPath, name }) => join(parentPath, name)).toSorted()) add(path);
  }
  return hash.digest("hex");
}
