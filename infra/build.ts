/**
 * Builds `dist`, which is what `npm pack` ships: the modules as JavaScript with declarations, the Worker and the web page as
 * bundles, and the Worker's configuration; says how large they are. Run by `prepack`, so a package is never older than its sources.
 */
import { execFile } from "node:child_process";
import { copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { PeerloomError } from "../shared/errors.ts";
import { bundleStandalone, bundleWeb, bundleWorker, describeSizes } from "./bundle.ts";

const root: string = fileURLToPath(new URL("..", import.meta.url));
const dist: string = join(root, "dist");
const run = promisify(execFile);

/** What is bundled into dist rather than installed: msgpackr's optional native addon is never used here, yet npm would build it. */
const VENDORED = {
  specifier: "msgpackr/pack",
  file: "vendor/msgpackr-pack.js",
  license: "node_modules/msgpackr/LICENSE",
} as const;

await rm(dist, { recursive: true, force: true });
await emitModules();
await vendor();
const worker = await bundleWorker();
await writeFile(join(dist, "worker.js"), worker);
await writeFile(join(dist, "standalone.js"), await bundleStandalone());
await cp(join(root, "infra", "self-host"), join(dist, "self-host"), { recursive: true });
for (const name of ["OPERATING.md", "grafana.json", "alerts.yaml"])
  await copyFile(join(root, "infra", name), join(dist, name));
const sizes = await bundleWeb(join(dist, "web"));
await writeWorkerConfiguration();
// Standard output belongs to `npm pack --json`.
console.error(describeSizes(worker, sizes));

/** Both programs share most modules; the second emits the same text for those. */
async function emitModules(): Promise<void> {
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  for (const project of ["peer/tsconfig.node.json", "peer/tsconfig.browser.json"]) {
    const words = ["-p", project, "--noEmit", "false", "--outDir", "dist", "--rootDir", "."];
    await run(process.execPath, [compiler, ...words], { cwd: root }).catch((error: unknown) => {
      const text = error instanceof Error && "stdout" in error ? String(error.stdout) : String(error);
      throw new PeerloomError("internal/assertion", `tsc -p ${project} failed:\n${text}`, { cause: error });
    });
  }
  for (const name of ["build.js", "build.d.ts"]) await rm(join(dist, "infra", name), { force: true });
}

/** Bundles the vendored dependency and points the modules that import it there. */
async function vendor(): Promise<void> {
  const target = join(dist, VENDORED.file);
  await build({
    entryPoints: [VENDORED.specifier],
    absWorkingDir: root,
    bundle: true,
    format: "esm",
    platform: "neutral",
    conditions: ["browser"],
    target: "es2022",
    outfile: target,
    logLevel: "warning",
  });
  await copyFile(join(root, VENDORED.license), `${target}.LICENSE`);
  for (const name of await readdir(dist, { recursive: true })) {
    if (!/\.(js|d\.ts)$/.test(name) || name.startsWith("vendor")) continue;
    const path = join(dist, name);
    const text = await readFile(path, "utf8");
    if (!text.includes(`"${VENDORED.specifier}"`)) continue;
    const specifier = `./${relative(dirname(path), target).replaceAll("\\", "/")}`.replace(/^\.\/\.\./, "..");
    await writeFile(path, text.replaceAll(`"${VENDORED.specifier}"`, `"${specifier}"`));
  }
}

/** The checkout's wrangler.toml builds from sources; the package's names what is built already. */
async function writeWorkerConfiguration(): Promise<void> {
  const source = await readFile(join(root, "wrangler.toml"), "utf8");
  const text = source
    .replace(/^main = .*$/m, 'main = "worker.js"\nno_bundle = true')
    .replace(/^directory = .*$/m, 'directory = "web"')
    .replace(/^\[build\]\n(?:(?!\[).*\n)*/m, "");
  await mkdir(dist, { recursive: true });
  await writeFile(join(dist, "wrangler.toml"), text);
}
