/** `edge cost`: what an edge has spent today, in units and money at list price, network by network. For who has its admin token. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { dollarsOf } from "../../shared/budget.ts";
import { dollarsRefused, type EdgeCost, type NetworkCost } from "../../shared/edge-cost.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { readEdgeCost } from "../api/read-edge-cost.ts";
import { ADMIN_TOKEN_VARIABLE } from "./admin-token.ts";
import type { Command, CommandContext } from "./command.ts";

const EVERY_SECONDS_MAX = 86_400;

export const edgeCost: Command = {
  name: "edge cost",
  synopsis: "",
  summary: "what the edge has spent today, in units and dollars; needs its admin token",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {
    "token-file": {
      type: "string",
      value: "FILE",
      help: `reads the edge's EDGE_ADMIN_TOKEN from a file; default: ${ADMIN_TOKEN_VARIABLE} of the environment`,
    },
    every: { type: "string", value: "SECONDS", help: "ask again, until it is stopped; default: once" },
  },
  serves: false,
  run: async (context) => {
    const { values, output, options, signal } = context;
    const { edge } = options;
    if (typeof edge !== "string") throw usage("Name the edge: --edge URL or PEERLOOM_EDGE.");
    const every = values.integer("every", { min: 0, max: EVERY_SECONDS_MAX, default: 0 });
    const token = await tokenOf(context);
    for (;;) {
      const cost = await readEdgeCost(edge, token, signal);
      output.result({ event: "cost", ...cost }, describe(cost));
      if (every === 0) return;
      await new Promise<void>((wake) => {
        const timer = setTimeout(wake, every * 1_000);
        signal.addEventListener("abort", () => (clearTimeout(timer), wake()), { once: true });
      });
      if (signal.aborted) return "done";
    }
  },
};

async function tokenOf({ values, host }: CommandContext): Promise<string> {
  const file = values.text("token-file");
  const token =
    file === undefined
      ? (host.environment[ADMIN_TOKEN_VARIABLE] ?? "")
      : (await readFile(resolve(host.workingFolder, file), "utf8")).trim();
  if (token !== "") return token;
  throw usage(`Give the edge's EDGE_ADMIN_TOKEN by ${ADMIN_TOKEN_VARIABLE} or --token-file.`);
}

function describe(cost: EdgeCost): string {
  const { day, stage, units, limit, dollars, refused, networks } = cost;
  return [
    `${day}  ${stage}  ${rounded(units)} of ${rounded(limit)} units (${((units / limit) * 100).toFixed(1)} %)  ${money(dollars)}`,
    ...networks.map(line),
    ...(refused > 0
      ? [`  refused at the door: ${refused} requests, ${money(dollarsRefused(cost))} beside it`]
      : []),
  ].join("\n");
}

function line({ network, stage, units, usage, sockets, members, unaccounted }: NetworkCost): string {
  const { requests, objectRequests, messages, awakeMs, rowsWritten, rowsRead, relayedBytes } = usage;
  return [
    `  ${network}  ${stage}  ${rounded(units)} units  ${money(dollarsOf(units))}  ${members} members, ${sockets} sockets`,
    `    ${requests} requests, ${objectRequests} to objects, ${messages} messages, ${(awakeMs / 1_000).toFixed(1)} s awake,`,
    `    ${rowsWritten} rows written, ${rowsRead} read, ${relayedBytes} bytes relayed, ${rounded(unaccounted)} units lent`,
  ].join("\n");
}

function rounded(units: number): string {
  return units < 100 ? units.toFixed(1) : String(Math.round(units));
}

function money(dollars: number): string {
  return `$${dollars.toFixed(6)}`;
}

function usage(message: string): PeerloomError {
  return new PeerloomError("usage/invalid", message);
}
