/**
 * `edge deploy`: puts the same Worker on one's own Cloudflare account. A thin cover over `wrangler deploy`, which asks for the
 * login; what follows `--` goes to wrangler as it is.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { PeerloomError } from "../../shared/errors.ts";
import type { Command, CommandContext } from "./command.ts";
import { toolsMissing } from "./host.ts";
import { isCheckout, packageRoot } from "./package-info.ts";

export const edgeDeploy: Command = {
  name: "edge deploy",
  synopsis: "",
  summary: "put the edge on your own Cloudflare account with wrangler",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {
    name: { type: "string", value: "NAME", help: "the Worker's name; default: peerloom-edge" },
    "dry-run": { type: "boolean", help: "build and check, deploy nothing" },
  },
  serves: false,
  run: async (context) => {
    const { values, output } = context;
    const dryRun = values.flag("dry-run");
    const name = values.text("name");
    const words = [
      "deploy",
      "--config",
      configPath(),
      ...(name === undefined ? [] : ["--name", name]),
      ...(dryRun ? ["--dry-run"] : []),
      ...context.rest,
    ];
    output.note(
      dryRun ? "Building and checking …" : "Building and deploying; wrangler may ask you to log in …",
    );
    const url = await runWrangler(words, context);
    if (dryRun) output.result({ event: "checked" }, "The Worker builds; nothing was deployed.");
    else output.result({ event: "deployed", url }, `${url ?? "Deployed."}`);
    if (url !== undefined) output.note(`Use it with: peerloom up --edge ${url}`);
  },
};

/** In a package the Worker is built already and has a configuration of its own, written by the build. */
function configPath(): string {
  return isCheckout() ? join(packageRoot(), "wrangler.toml") : join(packageRoot(), "dist", "wrangler.toml");
}

/** Resolves with the address that wrangler reports, if it reports one. */
async function runWrangler(
  words: readonly string[],
  { output, host, signal }: CommandContext,
): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "peerloom-deploy-"));
  const report = join(folder, "report.ndjson");
  try {
    const child = spawn(process.execPath, [wranglerPath(), ...words], {
      // Under --json standard output belongs to our events; wrangler's words go to standard error.
      stdio: ["inherit", output.json ? 2 : "inherit", "inherit"],
      env: { ...host.environment, WRANGLER_SEND_METRICS: "false", WRANGLER_OUTPUT_FILE_PATH: report },
      signal,
      killSignal: "SIGTERM",
    });
    const [code] = (await once(child, "close")) as [number | null];
    if (code !== 0) {
      throw new PeerloomError(
        "edge/unreachable",
        `wrangler ended with code ${code ?? "none"}; its own words are above. Nothing was changed here.`,
      );
    }
    return deployedUrl(await readFile(report, "utf8").catch(() => ""));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function wranglerPath(): string {
  try {
    return join(
      dirname(createRequire(import.meta.url).resolve("wrangler/package.json")),
      "bin",
      "wrangler.js",
    );
  } catch (cause) {
    throw toolsMissing("wrangler", cause);
  }
}

/** wrangler's report is one JSON object a line; the one of type `deploy` holds the addresses. */
function deployedUrl(report: string): string | undefined {
  for (const line of report.split("\n")) {
    if (!line.includes('"deploy"')) continue;
    try {
      const entry = JSON.parse(line) as { readonly type?: unknown; readonly targets?: unknown };
      const target: unknown = Array.isArray(entry.targets) ? entry.targets[0] : undefined;
      if (entry.type === "deploy" && typeof target === "string")
        return target.startsWith("http") ? target : `https://${target}`;
    } catch {
      continue; // a line that is not JSON says nothing about the address
    }
  }
  return undefined;
}
