/** `sim`: thousands of peers in one process on a simulated clock, the very overlay code that real peers run, and its figures. */
import process from "node:process";
import { PeerloomError } from "../../shared/errors.ts";
import type { ExperimentOptions, ExperimentResult } from "../simulation/experiment.ts";
import type { Command, CommandContext } from "./command.ts";
import { heapFor, runInProcess } from "./experiment-process.ts";

const NODES_MAX = 200_000;
/** People are told how far it is after each ten simulated seconds, or after so much of their own time. */
const NOTE_EVERY_MS = 30_000;
const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

export const sim: Command = {
  name: "sim",
  synopsis: "",
  summary: "simulate a network of thousands of peers and measure its lookups, joins and upkeep",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {
    nodes: { type: "string", value: "N", help: "peers; default: 1000" },
    seed: { type: "string", value: "S", help: "the same seed gives the same run; default: 1" },
    churn: {
      type: "string",
      value: "MEDIAN",
      help: "peers come and go; median session, as in 10m; default: none",
    },
    kill: {
      type: "string",
      value: "SHARE",
      help: "share of peers that die at one instant, as in 0.5; default: 0",
    },
    cut: {
      type: "string",
      value: "TIME",
      help: "half of all peers is cut off from the rest for so long, as in 10m; default: none",
    },
    malicious: {
      type: "string",
      value: "SHARE",
      help: "share of peers that drop, deny, answer falsely or misroute; default: 0",
    },
    loss: {
      type: "string",
      value: "SHARE",
      help: "share of packets lost on every link, as in 0.01; default: 0",
    },
    nat: {
      type: "string",
      value: "SHARE",
      help: "share of peers behind NATs that let no two of them link directly; default: 0",
    },
    links: { type: "string", value: "N", help: "links that each peer wants; default: 32" },
    seconds: { type: "string", value: "N", help: "simulated time that is measured; default: 120" },
    lookups: { type: "string", value: "N", help: "how many are measured; default: 2000" },
    records: { type: "string", value: "N", help: "put at the start and read at the end; default: 200" },
  },
  serves: false,
  run: async (context) => {
    const { values, output } = context;
    const nodes = values.integer("nodes", { min: 10, max: NODES_MAX, default: 1_000 });
    const startedMs = performance.now();
    let [notedTens, notedMs] = [0, startedMs];
    const experiment: ExperimentOptions = {
      nodes,
      seed: values.text("seed") ?? "1",
      links: values.integer("links", { min: 12, max: 96, default: 32 }),
      churnMsMedian: duration("churn", values.text("churn")),
      cutMs: duration("cut", values.text("cut")) ?? 0,
      kill: share(context, "kill"),
      malicious: share(context, "malicious"),
      loss: share(context, "loss"),
      nat: share(context, "nat"),
      durationMs: values.integer("seconds", { min: 1, max: 86_400, default: 120 }) * 1_000,
      lookups: values.integer("lookups", { min: 1, max: 1_000_000, default: 2_000 }),
      records: values.integer("records", { min: 0, max: 100_000, default: 200 }),
    };
    const heap = heapFor(nodes);
    requireMemory(heap.oldBytes + heap.youngBytes);
    output.note(`Building a network of ${nodes} peers …`);
    const { result, residentBytes } = await runInProcess(experiment, {
      heap,
      signal: context.signal,
      onProgress: (doneMs, totalMs) => {
        const nowMs = performance.now();
        const tens = Math.floor(doneMs / 10_000);
        if (tens === notedTens && nowMs - notedMs < NOTE_EVERY_MS) return;
        [notedTens, notedMs] = [tens, nowMs];
        output.note(`${Math.floor(doneMs / 100) / 10} of ${totalMs / 1_000} simulated seconds`);
      },
    });
    const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
    const megabytes = Math.round(residentBytes / 1e6);
    // What this machine took is for people only: the same seed prints the same JSON everywhere.
    output.result(
      { event: "done", ...result },
      [`Simulated in ${seconds} s, in ${megabytes} MB of memory at most`, ...describe(result)].join("\n"),
    );
  },
};

/** A machine without it swaps, or ends the process without a word. */
function requireMemory(bytes: number): void {
  const megabytes = (count: number): number => Math.ceil(count / 1e6);
  const available = process.availableMemory();
  if (bytes <= available) return;
  throw new PeerloomError(
    "usage/invalid",
    `So many peers take up to ${megabytes(bytes)} MB of memory, and ${megabytes(available)} MB are free: ask for fewer --nodes.`,
  );
}

function describe(result: ExperimentResult): string[] {
  const { nodes, links, lookups, join, records, upkeepBytesPerSecond } = result;
  const percent = (part: number): string => `${Math.round(part * 10_000) / 100} %`;
  const lines = [
    `${nodes} peers with ${links.mean} links each`,
    `lookups   ${percent(lookups.firstTry)} at the first try, ${percent(lookups.success)} in the end`,
    `          ${lookups.hopsMean} hops, answer after ${lookups.rttMsP50} ms (p99 ${lookups.rttMsP99} ms)`,
    `records   ${percent(records.found)} of ${records.count} read in the end; put in ${records.putMsP50} ms, got in ${records.getMsP50} ms`,
    `upkeep    ${upkeepBytesPerSecond} bytes a second and peer`,
  ];
  if (join.count > 0)
    lines.push(
      `joining   ${join.msP50} ms (p95 ${join.msP95} ms), found by others after ${join.findable.msP50} ms (p95 ${join.findable.msP95} ms), ${join.edgeMessages} messages through the edge`,
    );
  return lines;
}

function duration(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d+(?:\.\d+)?)([smh])$/.exec(text);
  const ms = Number(match?.[1]) * (UNITS_MS[match?.[2] ?? ""] ?? Number.NaN);
  if (!(ms >= 1_000))
    throw new PeerloomError("usage/invalid", `--${name} takes a time such as 90s, 10m or 2h, not "${text}".`);
  return ms;
}

function share({ values }: CommandContext, name: string): number {
  const text = values.text(name) ?? "0";
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value < 1))
    throw new PeerloomError(
      "usage/invalid",
      `--${name} takes a share from 0 to below 1, such as 0.2, not "${text}".`,
    );
  return value;
}
