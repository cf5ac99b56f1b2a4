/**
 * Builds `dist`, which is what `npm pack` ships: the modules as JavaScript with declarations, the Worker and the web page as
 * bundles, and the Worker's configuration. Run by `prepack`, so a package is never older than its sources.
 */
import { execFile } from "node:child_process";
import { copyFile, cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { PeerloomError } from "../shared/errors.ts";
import { bundleStandalone, bundleWeb, bundleWorker } from "./bundle.ts";

const root: string = fileURLToPath(new URL("..", import.meta.url));
const dist: string = join(root, "dist");
const run = promisify(execFile);

await rm(dist, { recursive: true, force: true });
await emitModules();
await writeFile(join(dist, "worker.js"), await bundleWorker());
await writeFile(join(dist, "standalone.js"), await bundleStandalone());
await cp(join(root, "infra", "self-host"), join(dist, "self-host"), { recursive: true });
await copyFile(join(root, "infra", "grafana.json"), join(dist, "grafana.json"));
await bundleWeb(join(dist, "web"));
await writeWorkerConfiguration();

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
