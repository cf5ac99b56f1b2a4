/**
 * An experiment in a process of its own. It keeps its processor busy for minutes, so the command line would not hear that it is to stop; and a
 * heap can be made as large as so many peers need only when a process begins.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { PeerloomError } from "../../shared/errors.ts";
import type { ExperimentOptions, ExperimentResult } from "../simulation/experiment.ts";
import { isCheckout } from "./package-info.ts";

/** What a peer takes at most, with what waits to be collected; measured at 10,000 to 100,000 peers. */
const OLD_BYTES_PER_PEER = 175_000;
const OLD_BYTES_MIN = 512_000_000;
/**
 * Of each half of the young generation. Messages are read within 100 simulated ms and then garbage; where they are all in there by then, none is moved
 * among what stays, and the collector looks through that less often.
 */
const YOUNG_BYTES_PER_PEER = 12_500;
const YOUNG_BYTES_MIN = 64_000_000;
const YOUNG_BYTES_MAX = 256_000_000;
/** Two halves, and objects too large for them. */
const YOUNG_PARTS = 3;
/** What V8 says when it ends for want of memory stands in the beginning. */
const COMPLAINT_CHARACTERS_MAX = 8_192;

/** The parts of a process's heap. */
export interface Heap {
  readonly oldBytes: number;
  readonly youngBytes: number;
}

const PROGRAM: string = fileURLToPath(
  new URL(`./experiment-program.${isCheckout() ? "ts" : "js"}`, import.meta.url),
);

/** What can be handed to a process. */
export type PlainExperimentOptions = Omit<ExperimentOptions, "onProgress">;

export interface ProcessOptions {
  readonly heap: Heap;
  /** Ends the process. */
  readonly signal: AbortSignal;
  onProgress(doneMs: number, totalMs: number): void;
}

/** What the process says: how far it is, and at last what came of it. */
export type Report =
  | { readonly progress: readonly [doneMs: number, totalMs: number] }
  | {
      readonly result: ExperimentResult;
      /** Memory that it had at most, bytes. */
      readonly residentBytes: number;
    };

export type Outcome = Extract<Report, { readonly result: ExperimentResult }>;

/** What an experiment with so many peers gets. */
export function heapFor(nodes: number): Heap {
  const half = Math.min(Math.max(YOUNG_BYTES_MIN, nodes * YOUNG_BYTES_PER_PEER), YOUNG_BYTES_MAX);
  return { oldBytes: OLD_BYTES_MIN + nodes * OLD_BYTES_PER_PEER, youngBytes: YOUNG_PARTS * half };
}

/** @throws the signal's reason when aborted; PeerloomError `usage/invalid` when the heap was too small after all */
export async function runInProcess(
  experiment: PlainExperimentOptions,
  { heap, signal, onProgress }: ProcessOptions,
): Promise<Outcome> {
  signal.throwIfAborted();
  const child = fork(PROGRAM, [], {
    execArgv: [
      `--max-old-space-size=${mebibytes(heap.oldBytes)}`,
      `--max-semi-space-size=${mebibytes(heap.youngBytes / YOUNG_PARTS)}`,
    ],
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
  const ended = new Promise<void>((over) => child.once("close", () => over()));
  const complaint = listen(child);
  child.on("message", (report: Report) => {
    if ("result" in report) resolve(report);
    else onProgress(...report.progress);
  });
  child.on("error", reject);
  child.on("close", (code, killed) => reject(explained(complaint(), code ?? killed, heap)));
  const abort = (): void => reject(signal.reason as Error);
  signal.addEventListener("abort", abort);
  child.send(experiment);
  try {
    return await promise;
  } finally {
    signal.removeEventListener("abort", abort);
    child.kill("SIGKILL");
    await ended;
  }
}

/** @returns what it has complained of so far */
function listen({ stderr }: ChildProcess): () => string {
  let text = "";
  stderr?.setEncoding("utf8").on("data", (more: string) => {
    text = (text + more).slice(0, COMPLAINT_CHARACTERS_MAX);
  });
  return () => text;
}

function explained(complaint: string, end: number | string | null, { oldBytes }: Heap): PeerloomError {
  if (!/out of memory/i.test(complaint))
    return new PeerloomError("internal/assertion", `The process ended with ${end}: ${complaint}`);
  return new PeerloomError(
    "usage/invalid",
    `This experiment needs more than the ${Math.ceil(oldBytes / 1e6)} MB that so many peers usually take: ask for fewer --nodes, --links or --records.`,
  );
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
