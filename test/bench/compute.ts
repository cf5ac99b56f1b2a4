/**
 * Tasks on other peers beside the same tasks in a thread here: what each costs more, how soon the first is there, and what a second peer
 * adds. `node test/bench/compute.ts [--stacks A,B] [--rounds 3] [--short 2000] [--long 60] [--steps 20000000]`
 */
import { runBenchmark } from "./lib/benchmark.ts";
import { withTrio } from "./lib/processes.ts";

await runBenchmark({
  name: "compute",
  stacks: ["compute-local", "compute-1", "compute-2"],
  rounds: 3,
  numbers: { short: 2_000, long: 60, steps: 20_000_000 },
  ratios: [
    { of: "compute-2", to: "compute-1", figure: "longPerSecond" },
    { of: "compute-2", to: "compute-1", figure: "longCpuSeconds", atMost: 1.15 },
    { of: "compute-1", to: "compute-local", figure: "longPerSecond" },
    { of: "compute-1", to: "compute-local", figure: "shortMs" },
  ],
  measure: (stack, { short = 0, long = 0, steps = 0 }) =>
    withTrio(stack, async ({ dialler, usage }) => {
      // Threads, compilers and sessions are paid for once.
      const { firstMs: coldMs } = await dialler.call("compute", { count: 10, steps: 0 });
      const { firstMs } = await dialler.call("compute", { count: 1, steps: 0 });
      const quick = await dialler.call("compute", { count: short, steps: 0 });
      const before = await usage(false);
      const slow = await dialler.call("compute", { count: long, steps });
      const spent = (await usage(false)).map(
        ({ cpuSeconds }, i) => cpuSeconds - (before[i]?.cpuSeconds ?? 0),
      );
      const [listener = 0, asker = 0, helper = 0] = spent;
      return {
        coldFirstMs: coldMs,
        warmFirstMs: firstMs,
        shortPerSecond: short / quick.seconds,
        shortMs: (1000 * quick.seconds) / short,
        longPerSecond: long / slow.seconds,
        // Of all that compute; wall time says little where others use the cores too.
        longCpuSeconds: stack === "compute-local" ? asker : listener + helper,
      };
    }),
});
