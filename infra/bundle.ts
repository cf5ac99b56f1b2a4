/**
 * Bundles what the edge serves: the Worker as one module, and the web folder with the page and the browser runtime. The same
 * text runs on Cloudflare and embedded. Run as a program it writes `dist` and prints sizes.
 */
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, type BuildOptions, type Plugin } from "esbuild";
import { PeerloomError } from "../shared/errors.ts";
import { sizesOf, WEB_BUDGET, type WebSizes } from "./web-sizes.ts";

const root: string = fileURLToPath(new URL("..", import.meta.url));

/** Modules served to browsers, by the name they are served under; what they share goes into modules of its own. */
const WEB_MODULES: Readonly<Record<string, string>> = {
  peer: "peer/browser.ts",
  peerjs: "peer/peerjs-browser.ts",
  elements: "peer/web/elements.ts",
  page: "peer/web/page.ts",
  "admin-owner": "peer/web/admin/owner.ts",
};
/** What a page loads first; the parts that are loaded later find it there. */
const CORE = "peer/browser.ts";
/**
 * Alone in their files: the worker's policy lets it load nothing else; the operator's page is small, and what it shared with the runtime would be one more
 * file for every page that loads that.
 */
const ALONE: Readonly<Record<string, string>> = {
  "compute-worker": "peer/adapters/browser/compute-worker.ts",
  admin: "peer/web/admin.ts",
};
const WEB_FILES: readonly string[] = ["index.html", "page.css", "admin.html", "admin.css"].map(
  (name) => `peer/web/${name}`,
);

/**
 * A strict policy reports code made from text even where it is only tried, as msgpackr does; so it finds no constructor for that here, and
 * takes the way that it has for pages that allow none. Its own build without is larger, for it cannot be shaken.
 */
const NO_CODE_FROM_TEXT = { Function: "undefined" };

const TARGET = "es2024";

const SHARED_OPTIONS: BuildOptions = {
  absWorkingDir: root,
  bundle: true,
  format: "esm",
  target: TARGET,
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
export async function bundleWeb(outdir: string): Promise<WebSizes> {
  // Parts are named after what is in them: those of an earlier build would stay.
  await rm(outdir, { recursive: true, force: true });
  await mkdir(outdir, { recursive: true });
  const { metafile } = await build({
    ...SHARED_OPTIONS,
    outdir,
    entryPoints: WEB_MODULES,
    splitting: true,
    chunkNames: "chunk-[hash]",
    platform: "browser",
    external: ["node:*"],
    metafile: true,
    plugins: [coreInOnePiece],
    define: NO_CODE_FROM_TEXT,
    // They are for esbuild alone: see the plugin.
    logOverride: { "ignored-bare-import": "silent" },
  });
  for (const path of Object.keys(metafile.outputs)) await minifyAgain(join(root, path));
  await build({
    ...SHARED_OPTIONS,
    outdir,
    entryPoints: ALONE,
    platform: "browser",
    plugins: [modulesAsServed],
  });
  for (const source of WEB_FILES)
    await copyFile(join(root, source), join(outdir, source.slice(source.lastIndexOf("/") + 1)));
  return sizesOf(metafile, WEB_MODULES, (path) => readFile(join(root, path)));
}

/** Oxc's minifier (Vite's) finds another 3 % in what esbuild has minified: names in the order of their use, and code inside functions that nothing reaches. */
async function minifyAgain(path: string): Promise<void> {
  // Only who bundles needs it, and loading it takes as long as the bundling.
  const { minify } = await import("vite");
  const { code, errors } = await minify(path, await readFile(path, "utf8"), {
    module: true,
    // Reading a property does nothing here: what msgpackr reads at its top level only to export it goes.
    compress: { target: TARGET, treeshake: { propertyReadSideEffects: false } },
    mangle: { toplevel: true },
  });
  if (errors.length > 0)
    throw new PeerloomError("internal/assertion", `${path} was not minified: ${errors[0]?.message}`);
  await writeFile(path, code);
}

/**
 * esbuild makes a file of every set of modules that the same entries reach. Each part that is loaded later imports the core here, as
 * it finds it there anyway; so all of the core is reached by the same entries and becomes one file instead of a dozen.
 */
const coreInOnePiece: Plugin = {
  name: "core in one piece",
  setup(bundler) {
    bundler.onResolve({ filter: /^\./ }, ({ kind, path, resolveDir }) =>
      kind === "dynamic-import" ? { path: join(resolveDir, path), pluginData: "part" } : undefined,
    );
    bundler.onLoad({ filter: /\.ts$/ }, async ({ path, pluginData }) =>
      pluginData === "part"
        ? {
            contents: `${await readFile(path, "utf8")}\nimport ${JSON.stringify(join(root, CORE))};`,
            loader: "ts",
          }
        : undefined,
    );
  },
};

/** What one alone loads later is a module that is served. */
const modulesAsServed: Plugin = {
  name: "modules as served",
  setup(bundler) {
    bundler.onResolve({ filter: /^\./ }, ({ kind, path, resolveDir }) => {
      if (kind !== "dynamic-import") return undefined;
      const source = join(resolveDir, path);
      const served = Object.entries(WEB_MODULES).find(([, module]) => join(root, module) === source);
      return served === undefined ? undefined : { path: `/${served[0]}.js`, external: true };
    });
  },
};

function textOf(files: readonly { readonly text: string }[]): string {
  return files[0]?.text ?? "";
}

/** What was built, as it travels: a line each. */
export function describeSizes(worker: string, { parts, core, all }: WebSizes): string {
  const kib = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`;
  const line = (name: string, bytes: number, gzipBytes: number, note: string): string =>
    `${name.padEnd(28)} ${kib(bytes).padStart(10)}  gzip ${kib(gzipBytes).padStart(9)}  ${note}`.trimEnd();
  return [
    line("worker.js", Buffer.byteLength(worker), gzipSync(worker).length, ""),
    ...parts.map(({ name, bytes, gzipBytes, files }) => line(name, bytes, gzipBytes, `${files} files`)),
    line("core", core.bytes, core.gzipBytes, `budget ${kib(WEB_BUDGET.coreGzipBytesMax)}`),
    line("core and all capabilities", all.bytes, all.gzipBytes, `budget ${kib(WEB_BUDGET.allGzipBytesMax)}`),
  ].join("\n");
}

async function main(): Promise<void> {
  const dist = join(root, "dist");
  const worker = await bundleWorker();
  await mkdir(dist, { recursive: true });
  await writeFile(join(dist, "worker.js"), worker);
  console.log(describeSizes(worker, await bundleWeb(join(dist, "web"))));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
