/**
 * `edge deploy`: puts the same Worker on one's own Cloudflare account. It settles name, networks and budget, by options or by asking, writes
 * them into wrangler.toml, and has `wrangler deploy` do the rest, which asks for the login; what follows `--` goes to wrangler as it is.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { PeerloomError } from "../../shared/errors.ts";
import type { Command, CommandContext } from "./command.ts";
import { dataFolderPath } from "./data-folder.ts";
import { edgeFolder } from "./edge-folder.ts";
import { type EdgeSettings, readSettings, writeSettings } from "./edge-settings.ts";
import { toolsMissing } from "./host.ts";
import { isCheckout, packageRoot } from "./package-info.ts";

/** Cloudflare's rule for a Worker's name. */
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const UNITS_MAX = 1_000_000_000_000;

export const edgeDeploy: Command = {
  name: "edge deploy",
  synopsis: "",
  summary: "put the edge on your own Cloudflare account with wrangler",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {
    name: { type: "string", value: "NAME", help: "the Worker's name; default: peerloom-edge" },
    networks: { type: "string", value: "all|private", help: "which networks it serves; default: all" },
    "daily-units": {
      type: "string",
      value: "N",
      help: "its budget: requests to objects a day, $0.15 a million at list price",
    },
    yes: { type: "boolean", short: "y", help: "ask nothing: what no option says stays as it is" },
    "dry-run": { type: "boolean", help: "build and check with these settings; deploy and write nothing" },
  },
  serves: false,
  run: async (context) => {
    const { values, output, host } = context;
    const dryRun = values.flag("dry-run");
    const folder = isCheckout()
      ? packageRoot()
      : await edgeFolder(join(dataFolderPath(context.options.data, host), "edge"), (text) =>
          output.note(text),
        );
    const path = join(folder, "wrangler.toml");
    const toml = await readFile(path, "utf8");
    const settings = await settle(readSettings(toml), context);
    const written = writeSettings(toml, settings);
    const config = dryRun ? join(folder, `wrangler.dry-run-${process.pid}.toml`) : path;
    output.note(
      dryRun ? "Building and checking …" : "Building and deploying; wrangler may ask you to log in …",
    );
    try {
      if (dryRun || written !== toml) await writeFile(config, written);
      const words = ["deploy", "--config", config, ...(dryRun ? ["--dry-run"] : []), ...context.rest];
      const url = await runWrangler(words, context);
      const { name, vars } = readSettings(written);
      if (dryRun) {
        output.result({ event: "checked", name, vars }, `${name} builds; nothing was deployed or written.`);
        return;
      }
      output.result({ event: "deployed", url, name, vars, config: path }, url ?? "Deployed.");
      output.note(`Its settings are in ${path}.`);
      if (url !== undefined) output.note(`Use it with: peerloom up --edge ${url}`);
    } finally {
      if (dryRun) await rm(config, { force: true });
    }
  },
};

/** What was typed, else what is answered, else what the file has. Only what was decided is written. */
async function settle(current: EdgeSettings, context: CommandContext): Promise<EdgeSettings> {
  const { values, host, options, signal } = context;
  const mayAsk = !values.flag("yes") && !values.flag("dry-run") && !options.json;
  const decide = async (option: string, question: string, now: string): Promise<string> => {
    const typed = values.text(option);
    if (typed !== undefined) return typed;
    if (!mayAsk || host.ask === undefined) return now;
    const answer = (await host.ask(`${question} [${now || "as the edge has it"}] `, signal)).trim();
    return answer === "" ? now : answer;
  };
  const { NETWORKS = "all", BUDGET_UNITS = "" } = current.vars;
  const name = await decide("name", "Name of the Worker?", current.name);
  if (!NAME.test(name))
    throw usage(`"${name}" is no name of a Worker: use 1 to 63 of a-z, 0-9 and "-", no "-" at the ends.`);
  const networks = await decide("networks", "Which networks may use it, all or private?", NETWORKS);
  if (networks !== "all" && networks !== "private")
    throw usage(`--networks takes all or private, not "${networks}".`);
  const units = await decide("daily-units", "Budget: units a day ($0.15 a million)?", BUDGET_UNITS);
  if (units !== "" && !(/^\d{1,13}$/.test(units) && Number(units) >= 1 && Number(units) <= UNITS_MAX))
    throw usage(`--daily-units takes a whole number from 1 to ${UNITS_MAX}, not "${units}".`);
  return {
    name,
    vars: {
      ...(networks === NETWORKS ? {} : { NETWORKS: networks }),
      ...(units === BUDGET_UNITS ? {} : { BUDGET_UNITS: units }),
    },
  };
}

function usage(message: string): PeerloomError {
  return new PeerloomError("usage/invalid", message);
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
        `wrangler ended with code ${code ?? "none"}; its own words are above.`,
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
