/**
 * Bundles what the edge serves: the Worker as one module, and the web folder with the page and the browser runtime. The same
 * text runs on Cloudflare and embedded. Run as a program it writes `dist` and prints sizes.
 */
import { access, copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, type BuildOptions } from "esbuild";

const root: string = fileURLToPath(new URL("..", import.meta.url));

/** Modules served to browsers, by the name they are served under. */
const WEB_MODULES: Readonly<Record<string, string>> = {
  "peer.js": "peer/browser.ts",
  "page.js": "peer/web/page.ts",
};
const WEB_FILES: readonly string[] = ["peer/web/index.html", "peer/web/page.css"];

const SHARED_OPTIONS: BuildOptions & { readonly write: false } = {
  absWorkingDir: root,
  bundle: true,
  format: "esm",
  target: "es2024",
  minify: true,
  legalComments: "none",
  logLevel: "warning",
  write: false,
};

/** The Worker's text. */
export async function bundleWorker(): Promise<string> {
  const { outputFiles } = await build({
    ...SHARED_OPTIONS,
    entryPoints: ["edge/index.ts"],
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*"],
  });
  return textOf(outputFiles);
}

/** Fills `outdir`, which need not exist, with everything the edge serves. */
export async function bundleWeb(outdir: string): Promise<void> {
  await mkdir(outdir, { recursive: true });
  for (const [name, source] of Object.entries(WEB_MODULES)) {
    if (!(await exists(join(root, source)))) continue;
    const { outputFiles } = await build({
      ...SHARED_OPTIONS,
      entryPoints: [source],
      platform: "browser",
      external: ["node:*"],
    });
    await writeFile(join(outdir, name), textOf(outputFiles));
  }
  for (const source of WEB_FILES)
    await copyFile(join(root, source), join(outdir, source.slice(source.lastIndexOf("/") + 1)));
}

function textOf(files: readonly { readonly text: string }[]): string {
  return files[0]?.text ?? "";
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function main(): Promise<void> {
  const dist = join(root, "dist");
  const worker = await bundleWorker();
  await mkdir(dist, { recursive: true });
  await writeFile(join(dist, "worker.js"), worker);
  printSize("worker.js", worker);
  await bundleWeb(join(dist, "web"));
  for (const name of (await readdir(join(dist, "web"))).toSorted()) {
    printSize(`web/${name}`, await readFile(join(dist, "web", name), "utf8"));
  }
}

function printSize(name: string, text: string): void {
  const kib = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`;
  console.log(
    `${name.padEnd(16)} ${kib(Buffer.byteLength(text)).padStart(10)}  gzip ${kib(gzipSync(text).length).padStart(9)}`,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
