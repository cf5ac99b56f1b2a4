/** What runs in the process that `runInProcess` starts: one experiment, its progress and its figures as messages. */
import process from "node:process";
import { runExperiment } from "../simulation/experiment.ts";
import type { PlainExperimentOptions, Report } from "./experiment-process.ts";

const parent = process.ppid;
const report = (each: Report): void => void process.send?.(each);

// A terminal's Ctrl-C is for all; who started this one ends it.
process.on("SIGINT", () => undefined);

process.once("message", (experiment: PlainExperimentOptions) => {
  const result = runExperiment({
    ...experiment,
    onProgress: (doneMs, totalMs) => {
      // Messages are read between two turns of the event loop, and there is none before the end.
      if (process.ppid !== parent) process.exit(1);
      report({ progress: [doneMs, totalMs] });
    },
  });
  report({ result, residentBytes: process.resourceUsage().maxRSS * 1_024 });
});
