/** What runs in the thread that `runInThread` starts: one experiment, its progress and its figures as messages. */
import { parentPort, workerData } from "node:worker_threads";
import { runExperiment } from "../simulation/experiment.ts";
import type { PlainExperimentOptions, Report } from "./experiment-thread.ts";

const report = (each: Report): void => parentPort?.postMessage(each);

report({
  result: runExperiment({
    ...(workerData as PlainExperimentOptions),
    onProgress: (doneMs, totalMs) => report({ progress: [doneMs, totalMs] }),
  }),
});
