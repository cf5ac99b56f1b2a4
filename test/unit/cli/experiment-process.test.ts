/** The process that an experiment has: what it says, and how it ends. */
import { expect, test } from "vitest";
import { heapFor, runInProcess } from "../../../peer/cli/experiment-process.ts";
import { runExperiment } from "../../../peer/simulation/experiment.ts";

const SMALL = { nodes: 40, seed: "a", durationMs: 1_000, lookups: 10, records: 5 } as const;
const HEAP = heapFor(SMALL.nodes);

test(
  "an experiment in a process of its own has the figures of one here, and says how far it is",
  { timeout: 60_000 },
  async () => {
    const seconds: number[] = [];
    const { signal } = new AbortController();
    const onProgress = (doneMs: number): void => void seconds.push(doneMs / 1_000);
    const { result, residentBytes } = await runInProcess(SMALL, { heap: HEAP, signal, onProgress });
    expect(result).toEqual(runExperiment(SMALL));
    expect(residentBytes).toBeGreaterThan(30_000_000);
    expect(seconds.slice(0, 3)).toEqual([0.1, 0.2, 0.3]);
  },
);

test(
  "an experiment that is too large for its heap is refused, and this process lives on",
  { timeout: 60_000 },
  async () => {
    const { signal } = new AbortController();
    const experiment = { ...SMALL, nodes: 4_000 };
    const heap = { oldBytes: 30_000_000, youngBytes: 30_000_000 };
    const running = runInProcess(experiment, { heap, signal, onProgress: () => undefined });
    await expect(running).rejects.toMatchObject({ code: "usage/invalid" });
  },
);

test("an experiment that is no longer wanted ends at once, begun or not", { timeout: 60_000 }, async () => {
  const stop = new AbortController();
  const reason = new Error("enough");
  const options = { heap: HEAP, signal: stop.signal, onProgress: () => stop.abort(reason) };
  const endless = { ...SMALL, durationMs: 86_400_000 };
  await expect(runInProcess(endless, options)).rejects.toBe(reason);
  await expect(runInProcess(endless, options)).rejects.toBe(reason);
});
