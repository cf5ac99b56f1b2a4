/**
 * `edge deploy`: puts the same Worker on one's own Cloudflare account. It settles name, networks, plan and budget, by options or by asking, writes
 * them into wrangler.toml, and has `wrangler deploy` do the rest, which asks for the login; what follows `--` goes to wrangler as it is. The edge
 * gets an admin token with it, and the operator the link by which the edge's page `/admin` opens.
 */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { networkKindOf, parseNetworkName } from "../../shared/ids.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { ADMIN_TOKEN_VARIABLE, adminToken, adminUrl } from "./admin-token.ts";
import type { Command, CommandContext } from "./command.ts";
import { dataFolderPath } from "./data-folder.ts";
import { edgeFolder } from "./edge-folder.ts";
import { type EdgeSettings, type Plan, readSettings, writeSettings } from "./edge-settings.ts";
import { isCheckout, packageRoot } from "./package-info.ts";
import { runWrangler } from "./wrangler.ts";

/** Cloudflare's rule for a Worker's name. */
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const UNITS_MAX = 1_000_000_000_000;
/** Below this no allowance of Cloudflare's free plan ends first: 100,000 requests to objects a day, or as many to the Worker at two units each. */
const FREE_PLAN_UNITS = 100_000;
/** Of wrangler. */
const SECRETS_OPTION = "--secrets-file";

export const edgeDeploy: Command = {
  name: "edge deploy",
  synopsis: "",
  summary: "put the edge on your own Cloudflare account with wrangler",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {
    name: { type: "string", value: "NAME", help: "the Worker's name; default: peerloom-edge" },
    networks: {
      type: "string",
      value: "all|private|NAMES",
      help: "which networks it serves; default: all",
    },
    plan: {
      type: "string",
      value: "free|paid",
      help: "your plan at Cloudflare; default: as the edge has it, free",
    },
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
    const kept = join(dataFolderPath(context.options.data, host), "edge");
    const folder = isCheckout() ? packageRoot() : await edgeFolder(kept, (text) => output.note(text));
    const path = join(folder, "wrangler.toml");
    const toml = await readFile(path, "utf8");
    const settings = await settle(readSettings(toml), context);
    const written = writeSettings(toml, settings);
    const config = dryRun ? join(folder, `wrangler.dry-run-${process.pid}.toml`) : path;
    const { name, plan, vars } = readSettings(written);
    if (plan === "free" && !(Number(vars["BUDGET_UNITS"]) <= FREE_PLAN_UNITS)) output.note(FREE_PLAN_FIRST);
    // Whoever hands wrangler a file of secrets says all of them.
    const setsToken = !dryRun && !context.rest.some((word) => word.split("=", 1)[0] === SECRETS_OPTION);
    const tokenFile = join(kept, `admin-token.${name}`);
    const token = setsToken ? await adminToken(host.environment, tokenFile) : undefined;
    output.note(
      dryRun ? "Building and checking …" : "Building and deploying; wrangler may ask you to log in …",
    );
    try {
      if (dryRun || written !== toml) await writeFile(config, written);
      const words = ["deploy", "--config", config, ...(dryRun ? ["--dry-run"] : []), ...context.rest];
      const secrets: Record<string, string> = token === undefined ? {} : { EDGE_ADMIN_TOKEN: token };
      const url = await runWrangler({ words, secrets }, context);
      if (dryRun) {
        output.result({ event: "checked", name, vars }, `${name} builds; nothing was deployed or written.`);
        return;
      }
      const admin = url === undefined || token === undefined ? undefined : adminUrl(url, token);
      output.result({ event: "deployed", url, name, vars, config: path, admin }, url ?? "Deployed.");
      output.note(`Its settings are in ${path}.`);
      if (token !== undefined && token !== host.environment[ADMIN_TOKEN_VARIABLE]?.trim())
        output.note(`Its admin token is kept in ${tokenFile}.`);
      if (admin !== undefined) output.note(`What it spends, for you alone: ${admin}`);
      if (url !== undefined) output.note(nextStep(url, vars["NETWORKS"]));
    } finally {
      if (dryRun) await rm(config, { force: true });
    }
  },
};

const FREE_PLAN_FIRST = `The free plan ends at 100,000 requests a day with errors, before this budget does. --daily-units ${FREE_PLAN_UNITS} stays below; --plan paid has no such end.`;

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
  const networks = await decide("networks", "Which networks may use it: all, private, or names?", NETWORKS);
  if (!namesNetworks(networks))
    throw usage(
      `--networks takes all, private, or names of networks with spaces between, not "${networks}".`,
    );
  const plan = await decide("plan", "Your plan at Cloudflare, free or paid?", current.plan);
  if (!isPlan(plan)) throw usage(`--plan takes free or paid, not "${plan}".`);
  const units = await decide("daily-units", "Budget: units a day ($0.15 a million)?", BUDGET_UNITS);
  if (units !== "" && !(/^\d{1,13}$/.test(units) && Number(units) >= 1 && Number(units) <= UNITS_MAX))
    throw usage(`--daily-units takes a whole number from 1 to ${UNITS_MAX}, not "${units}".`);
  return {
    name,
    plan,
    vars: {
      ...(networks === NETWORKS ? {} : { NETWORKS: networks }),
      ...(units === BUDGET_UNITS ? {} : { BUDGET_UNITS: units }),
    },
  };
}

/** What one does with an edge that stands. @param networks which it serves */
export function nextStep(url: string, networks = "all"): string {
  if (networks === "private")
    return `It serves private networks only. Make one: peerloom network create   Let people in: peerloom invite --edge ${url}`;
  const named = wordsOf(networks).flatMap((word) => parseNetworkName(word) ?? []);
  const open = named.find((name) => name !== "private" && networkKindOf(name) === "open");
  const isForAll = open === undefined || wordsOf(networks).includes("all");
  return `Use it with: peerloom up --edge ${url}${isForAll ? "" : ` --network ${open}`}`;
}

/** As the edge reads it. */
function namesNetworks(networks: string): boolean {
  const named = wordsOf(networks);
  return named.length > 0 && named.every((name) => parseNetworkName(name) !== undefined);
}

function wordsOf(networks: string): string[] {
  return networks.split(/[\s,]+/).filter((word) => word !== "");
}

function isPlan(text: string): text is Plan {
  return text === "free" || text === "paid";
}

function usage(message: string): PeerloomError {
  return new PeerloomError("usage/invalid", message);
}
