/**
 * Bundles what the edge serves: the Worker as one module, and the web folder with the page and the browser runtime. The same
 * text runs on Cloudflare and embedded. Run as a program it writes `dist` and prints sizes.
 */
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, type BuildOptions } from "esbuild";

const root: string = fileURLToPath(new URL("..", import.meta.url));

/** Modules served to browsers, by the name they are served under; what they share goes into modules of its own. */
const WEB_MODULES: Readonly<Record<string, string>> = {
  peer: "peer/browser.ts",
  peerjs: "peer/peerjs-browser.ts",
  elements: "peer/web/elements.ts",
  page: "peer/web/page.ts",
};
/** Alone in its file: its policy lets it load nothing else. */
const COMPUTE_WORKER = { "compute-worker": "peer/adapters/browser/compute-worker.ts" } as const;
const WEB_FILES: readonly string[] = ["peer/web/index.html", "peer/web/page.css"];

const SHARED_OPTIONS: BuildOptions = {
  absWorkingDir: root,
  bundle: true,
  format: "esm",
  target: "es2024",
  minify: true,
  legalComments: "none",
  logLevel: "warning",
};

/** The Worker's text. */
export async function bundleWorker(): Promise<string> {
  return bundleForWorkerd("edge/index.ts");
}

/** The text of what stands in for Cloudflare's own services where workerd runs alone. */
export async function bundleStandalone(): Promise<string> {
  return bundleForWorkerd("edge/standalone.ts");
}

async function bundleForWorkerd(entryPoint: string): Promise<string> {
  const { outputFiles } = await build({
    ...SHARED_OPTIONS,
    write: false,
    entryPoints: [entryPoint],
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*"],
  });
  return textOf(outputFiles);
}

/** Fills `outdir`, which need not exist, with everything the edge serves. */
export async function bundleWeb(outdir: string): Promise<void> {
  // Parts are named after what is in them: those of an earlier build would stay.
  await rm(outdir, { recursive: true, force: true });
  await mkdir(outdir, { recursive: true });
  await build({
    ...SHARED_OPTIONS,
    outdir,
    entryPoints: WEB_MODULES,
    splitting: true,
    chunkNames: "chunk-[hash]",
    platform: "browser",
    external: ["node:*"],
  });
  await build({ ...SHARED_OPTIONS, outdir, entryPoints: COMPUTE_WORKER, platform: "browser" });
  for (const source of WEB_FILES)
    await copyFile(join(root, source), join(outdir, source.slice(source.lastIndexOf("/") + 1)));
}

function textOf(files: readonly { readonly text: string }[]): string {
  return files[0]?.text ?? "";
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
