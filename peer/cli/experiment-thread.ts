/**
 * An experiment in a thread of its own. It keeps its processor busy for minutes, so the command line would not hear that it is to stop;
 * and a thread's heap can be made as large as so many peers need, which a process's cannot once it runs.
 */
import { Worker } from "node:worker_threads";
import { PeerloomError } from "../../shared/errors.ts";
import type { ExperimentOptions, ExperimentResult } from "../simulation/experiment.ts";
import { isCheckout } from "./package-info.ts";

/** Most messages are read within 100 simulated ms and then garbage. A young generation that holds them all spares the collector half of its work. */
const YOUNG_GENERATION_MB = 384;

const PROGRAM = new URL(`./experiment-program.${isCheckout() ? "ts" : "js"}`, import.meta.url);

/** What can be handed to a thread. */
export type PlainExperimentOptions = Omit<ExperimentOptions, "onProgress">;

export interface ThreadOptions {
  readonly heapBytes: number;
  /** Ends the thread. */
  readonly signal: AbortSignal;
  onProgress(doneMs: number, totalMs: number): void;
}

/** What the thread says: how far it is, and at last what came of it. */
export type Report =
  | { readonly progress: readonly [doneMs: number, totalMs: number] }
  | { readonly result: ExperimentResult };

/** @throws the signal's reason when aborted; PeerloomError `usage/invalid` when the heap was too small after all */
export async function runInThread(
  experiment: PlainExperimentOptions,
  { heapBytes, signal, onProgress }: ThreadOptions,
): Promise<ExperimentResult> {
  signal.throwIfAborted();
  const worker = new Worker(PROGRAM, {
    workerData: experiment,
    resourceLimits: {
      maxOldGenerationSizeMb: Math.ceil(heapBytes / 2 ** 20),
      maxYoungGenerationSizeMb: YOUNG_GENERATION_MB,
    },
  });
  const { promise, resolve, reject } = Promise.withResolvers<ExperimentResult>();
  worker.on("message", (report: Report) => {
    if ("result" in report) resolve(report.result);
    else onProgress(...report.progress);
  });
  worker.on("error", (error) => reject(explained(error, heapBytes)));
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

function explained(error: Error, heapBytes: number): Error {
  if (!("code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY")) return error;
  return new PeerloomError(
    "usage/invalid",
    `This experiment needs more than the ${Math.ceil(heapBytes / 1e6)} MB that so many peers usually take: ask for fewer --nodes, --links or --records.`,
    { cause: error },
  );
}
