/**
 * An experiment in a thread of its own. It keeps its processor busy for minutes, so the command line would not hear that it is to stop;
 * and a thread's heap can be made as large as so many peers need, which a process's cannot once it runs.
 */
import { Worker } from "node:worker_threads";
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
/** V8 counts two halves and objects too large for them. */
const YOUNG_PARTS = 3;

/** The parts of a thread's heap. */
export interface Heap {
  readonly oldBytes: number;
  readonly youngBytes: number;
}

const PROGRAM = new URL(`./experiment-program.${isCheckout() ? "ts" : "js"}`, import.meta.url);

/** What can be handed to a thread. */
export type PlainExperimentOptions = Omit<ExperimentOptions, "onProgress">;

export interface ThreadOptions {
  readonly heap: Heap;
  /** Ends the thread. */
  readonly signal: AbortSignal;
  onProgress(doneMs: number, totalMs: number): void;
}

/** What the thread says: how far it is, and at last what came of it. */
export type Report =
  | { readonly progress: readonly [doneMs: number, totalMs: number] }
  | { readonly result: ExperimentResult };

/** What an experiment with so many peers gets. */
export function heapFor(nodes: number): Heap {
  const half = Math.min(Math.max(YOUNG_BYTES_MIN, nodes * YOUNG_BYTES_PER_PEER), YOUNG_BYTES_MAX);
  return { oldBytes: OLD_BYTES_MIN + nodes * OLD_BYTES_PER_PEER, youngBytes: YOUNG_PARTS * half };
}

/** @throws the signal's reason when aborted; PeerloomError `usage/invalid` when the heap was too small after all */
export async function runInThread(
  experiment: PlainExperimentOptions,
  { heap, signal, onProgress }: ThreadOptions,
): Promise<ExperimentResult> {
  signal.throwIfAborted();
  const worker = new Worker(PROGRAM, {
    workerData: experiment,
    resourceLimits: {
      maxOldGenerationSizeMb: Math.ceil(heap.oldBytes / 2 ** 20),
      maxYoungGenerationSizeMb: Math.ceil(heap.youngBytes / 2 ** 20),
    },
  });
  const { promise, resolve, reject } = Promise.withResolvers<ExperimentResult>();
  worker.on("message", (report: Report) => {
    if ("result" in report) resolve(report.result);
    else onProgress(...report.progress);
  });
  worker.on("error", (error) => reject(explained(error, heap)));
  worker.on("exit", (code) =>
    reject(new PeerloomError("internal/assertion", `The thread ended with ${code}.`)),
  );
  const abort = (): void => reject(signal.reason as Error);
  signal.addEventListener("abort", abort);
  try {
    return await promise;
  } finally {
    signal.removeEventListener("abort", abort);
    await worker.terminate();
  }
}

function explained(error: Error, { oldBytes }: Heap): Error {
  if (!("code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY")) return error;
  return new PeerloomError(
    "usage/invalid",
    `This experiment needs more than the ${Math.ceil(oldBytes / 1e6)} MB that so many peers usually take: ask for fewer --nodes, --links or --records.`,
    { cause: error },
  );
}
