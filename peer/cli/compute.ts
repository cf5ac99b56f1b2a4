/** `work` and `run`: processing power of this machine for others, and of others for this one. */
import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { toBase64Url, utf8Decode } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { short } from "../../shared/ids.ts";
import type { TaskResult } from "../services/compute/computation.ts";
import { MAP_DEFAULTS, type MapOptions } from "../services/compute/compute.ts";
import { MODULE_BYTES_MAX, PAGE_BYTES } from "../services/compute/module-check.ts";
import { INPUT_BYTES_MAX, PAGES_MAX, SLOTS_MAX, TASK_MS_MAX } from "../services/compute/protocol.ts";
import { WORK_DEFAULTS, type WorkOptions } from "../services/compute/work-offer.ts";
import type { Command, CommandContext, CommandValues, OptionSpec } from "./command.ts";
import type { CliComputation } from "./peer-contract.ts";
import { untilStopped, withPeer } from "./with-peer.ts";

/** Stands for standard input. */
const STDIN = "-";
const PAGES_A_MIB: number = (1024 * 1024) / PAGE_BYTES;
const COPIES_MAX = 16;

const limitOptions = (memory: string, taskMs: number): Readonly<Record<string, OptionSpec>> => ({
  memory: { type: "string", value: "MIB", help: `memory of one task; default: ${memory}` },
  time: {
    type: "string",
    value: "SECONDS",
    help: `time of one task, it is killed after that; default: ${taskMs / 1000}`,
  },
});

export const work: Command = {
  name: "work",
  synopsis: "",
  summary: "compute for other peers of this network until it is stopped",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {
    slots: { type: "string", value: "N", help: "tasks at once; default: this machine's processors" },
    ...limitOptions(String(WORK_DEFAULTS.memoryPages / PAGES_A_MIB), WORK_DEFAULTS.taskMs),
    allow: {
      type: "string",
      multiple: true,
      value: "ID…",
      help: "peers to work for; default: everybody in this network",
    },
  },
  serves: true,
  run: (context) => {
    const options = workOptions(context.values);
    return withPeer(context, { role: "owner" }, async (peer) => {
      const { slots } = await peer.compute.work(options);
      context.output.result({ event: "ready", id: peer.id, slots }, peer.id);
      context.output.note(
        `Working for ${options.allow === undefined ? "everybody in this network" : "those allowed"}: ${slots} tasks at once. Stop with Ctrl-C.`,
      );
      await untilStopped(context.signal);
    });
  },
};

export const runModule: Command = {
  name: "run",
  synopsis: "MODULE.wasm",
  summary: "run a WebAssembly module on working peers, over every input",
  positionalsMin: 1,
  positionalsMax: 1,
  options: {
    input: { type: "string", multiple: true, value: "FILE…", help: "an input each; - reads standard input" },
    lines: { type: "boolean", help: "an input is one line of those files" },
    copies: { type: "string", value: "N", help: "give every input to so many different peers; default: 1" },
    agree: { type: "string", value: "N", help: "so many must answer alike; default: most of the copies" },
    workers: { type: "string", multiple: true, value: "ID…", help: "peers to ask, beside those found" },
    "no-discover": { type: "boolean", help: "ask nobody but --workers" },
    ...limitOptions("what the module declares, or 16", MAP_DEFAULTS.taskMs),
  },
  serves: false,
  run: async (context) => {
    const { host, positionals, values, output } = context;
    const module = await readUpTo(resolve(host.workingFolder, positionals[0] ?? ""), MODULE_BYTES_MAX);
    const inputs = await readInputs(context);
    const options = mapOptions(values, context.signal);
    await withPeer(context, { role: "any" }, async (peer) => {
      const computation = peer.compute.map(module, inputs, options);
      computation.addEventListener("progress", () =>
        output.progress(undefined, () => progressLine(computation, inputs.length)),
      );
      for await (const result of computation) tellResult(result, context);
      const { done, rejected } = computation.progress;
      const workers = computation.contributors.length;
      const doubt = rejected === 0 ? "" : `; ${rejected} wrong answers were rejected`;
      output.note(`${done} results from ${workers} peers${doubt}.`);
      output.result({ event: "done", results: done, workers, rejected });
    });
  },
};

function workOptions(values: CommandValues): WorkOptions {
  const slots = values.integer("slots", { min: 0, max: SLOTS_MAX, default: 0 });
  const allow = values.list("allow");
  return {
    ...limits(values, WORK_DEFAULTS.taskMs),
    ...(slots > 0 ? { slots } : {}),
    ...(allow.length > 0 ? { allow } : {}),
  };
}

function mapOptions(values: CommandValues, signal: AbortSignal): MapOptions {
  const copies = values.integer("copies", { min: 1, max: COPIES_MAX, default: MAP_DEFAULTS.copies });
  const agree = values.integer("agree", { min: 0, max: copies, default: 0 });
  return {
    ...limits(values, MAP_DEFAULTS.taskMs),
    copies,
    ...(agree > 0 ? { agree } : {}),
    workers: values.list("workers"),
    discover: !values.flag("no-discover"),
    signal,
  };
}

function limits(values: CommandValues, taskMs: number): Pick<WorkOptions, "memoryPages" | "taskMs"> {
  const seconds = values.integer("time", { min: 1, max: TASK_MS_MAX / 1000, default: taskMs / 1000 });
  const mib = values.integer("memory", { min: 0, max: PAGES_MAX / PAGES_A_MIB, default: 0 });
  return { taskMs: seconds * 1000, ...(mib > 0 ? { memoryPages: mib * PAGES_A_MIB } : {}) };
}

/** @throws PeerloomError `usage/invalid`, `files/not-found`, `compute/too-large` */
async function readInputs({ values, host }: CommandContext): Promise<readonly Uint8Array[]> {
  const names = values.list("input");
  if (names.length === 0)
    throw new PeerloomError("usage/invalid", "run needs --input FILE…, or --input - for standard input.");
  if (names.filter((name) => name === STDIN).length > 1)
    throw new PeerloomError("usage/invalid", "Standard input can be read once.");
  const inputs: Uint8Array[] = [];
  for (const name of names) {
    const bytes =
      name === STDIN
        ? await host.readInput(INPUT_BYTES_MAX)
        : await readUpTo(resolve(host.workingFolder, name), INPUT_BYTES_MAX);
    if (values.flag("lines")) inputs.push(...linesOf(bytes));
    else inputs.push(bytes);
  }
  return inputs;
}

async function readUpTo(path: string, bytesMax: number): Promise<Uint8Array> {
  const { size } = await stat(path).catch((cause: unknown) => {
    throw new PeerloomError("files/not-found", `${path} is not there.`, { cause });
  });
  if (size > bytesMax)
    throw new PeerloomError("compute/too-large", `${path} has ${size} bytes; ${bytesMax} are the most.`);
  // A plain array: what a Buffer's slice gives is a view.
  return new Uint8Array(
    await readFile(path).catch((cause: unknown) => {
      throw new PeerloomError("files/not-found", `${path} cannot be read.`, { cause });
    }),
  );
}

/** Without their ends; what follows the last end is a line if there is anything. */
function linesOf(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let start = 0;
  for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return start < bytes.length ? [...lines, bytes.subarray(start)] : lines;
}

function tellResult({ index, value, by }: TaskResult, { output }: CommandContext): void {
  const text = textOf(value);
  const shown = text === undefined ? { value: toBase64Url(value), encoding: "base64url" } : { value: text };
  output.result({ event: "result", index, ...shown, by }, `${index}: ${shown.value}`);
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return utf8Decode(bytes);
  } catch {
    return undefined; // Not text.
  }
}

function progressLine(computation: CliComputation, total: number): string {
  const { done, workers, rejected } = computation.progress;
  const by = computation.contributors.slice(0, 3).map(short).join(", ");
  return [
    `${done} of ${total}`,
    workers === 0 ? "looking for working peers" : `${workers} working${by === "" ? "" : ` (${by} …)`}`,
    ...(rejected === 0 ? [] : [`${rejected} wrong answers rejected`]),
  ].join("  ");
}
