/**
 * What more working peers add. Each has a fixed share of the same core, so that two cores show what four machines would do; who asks has the
 * other core. Linux control groups, root. `node test/bench/workers.ts [--rounds 3] [--tasks 200] [--steps 20000000] [--percent 20]`
 */
import { runBenchmark } from "./lib/benchmark.ts";
import { CpuShare } from "./lib/cpu-share.ts";
import { type Side, withCrew } from "./lib/processes.ts";

const STACK = "compute-1";

await runBenchmark({
  name: "workers",
  source: (name) => {
    if (!/^workers-\d{1,2}$/.test(name)) throw new Error(`No "${name}"; it is workers- and how many.`);
    return {};
  },
  stacks: ["workers-1", "workers-2", "workers-4"],
  rounds: 3,
  numbers: { tasks: 200, steps: 20_000_000, percent: 20 },
  ratios: [
    { of: "workers-2", to: "workers-1", figure: "tasksPerSecond" },
    { of: "workers-4", to: "workers-1", figure: "tasksPerSecond", atLeast: 3.5 },
  ],
  measure: (name, { tasks = 0, steps = 0, percent = 0 }) => {
    const shares: CpuShare[] = [];
    return withCrew(STACK, Number(name.slice("workers-".length)), async ({ helpers, dialler }) => {
      // Threads, compilers and sessions are paid for once, and at full speed.
      await dialler.call("compute", { count: 10 * helpers.length, steps: 0 });
      // Two threads of one core slow each other down, which machines of their own do not.
      dialler.pin(1);
      for (const helper of helpers) helper.pin(0);
      for (const { pid } of helpers) shares.push(new CpuShare(percent, pid));
      const before = await cpuSeconds(helpers);
      const { firstMs, seconds } = await dialler.call("compute", { count: tasks, steps });
      const spent = (await cpuSeconds(helpers)) - before;
      return {
        firstMs,
        tasksPerSecond: tasks / seconds,
        percentEach: (100 * spent) / seconds / helpers.length,
      };
    }).finally(() => shares.forEach((share) => share.close()));
  },
});

async function cpuSeconds(helpers: readonly Side[]): Promise<number> {
  const usages = await Promise.all(helpers.map((side) => side.call("usage", { collect: false })));
  return usages.reduce((sum, usage) => sum + usage.cpuSeconds, 0);
}
