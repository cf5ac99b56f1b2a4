/**
 * One stream, one way. `node test/bench/bulk.ts [--stacks A,B] [--rounds 3] [--mib 256] [--warmMib 32]
 * [--chunkBytes 65536]`. A first transfer is not measured: it pays for the compiler, alike in every stack.
 */
import { runBenchmark } from "./lib/benchmark.ts";
import { withTrio } from "./lib/processes.ts";

await runBenchmark({
  name: "bulk",
  stacks: [
    "raw-tcp",
    "peerloom-tcp",
    "libp2p-tcp",
    "hyperdht",
    "raw-datachannel",
    "raw-datachannel-tuned",
    "peerloom-webrtc",
    "relay-bare",
    "peerloom-relay",
    "libp2p-relay",
  ],
  rounds: 3,
  numbers: { mib: 256, warmMib: 32, chunkBytes: 65_536 },
  ratios: [
    { of: "peerloom-tcp", to: "raw-tcp", figure: "mbPerSecond", atLeast: 0.6 },
    { of: "peerloom-tcp", to: "libp2p-tcp", figure: "mbPerSecond", atLeast: 2.5 },
    { of: "peerloom-tcp", to: "hyperdht", figure: "mbPerSecond" },
    { of: "peerloom-webrtc", to: "raw-datachannel", figure: "mbPerSecond" },
    { of: "peerloom-webrtc", to: "raw-datachannel-tuned", figure: "mbPerSecond", atLeast: 0.9 },
    { of: "peerloom-relay", to: "relay-bare", figure: "mbPerSecond", atLeast: 0.8 },
    { of: "peerloom-relay", to: "libp2p-relay", figure: "mbPerSecond", atLeast: 3 },
  ],
  measure: (stack, { mib = 0, warmMib = 0, chunkBytes = 0 }) =>
    withTrio(stack, async ({ dialler, usage }) => {
      const bytes = mib * 2 ** 20;
      await dialler.call("bulk", { bytes: warmMib * 2 ** 20, chunkBytes });
      const before = await usage(false);
      const seconds = await dialler.call("bulk", { bytes, chunkBytes });
      const after = await usage(false);
      const cpuSeconds = after.map((now, i) => now.cpuSeconds - (before[i]?.cpuSeconds ?? 0));
      const gibibytes = bytes / 2 ** 30;
      return {
        mbPerSecond: bytes / 1e6 / seconds,
        cpuSecondsPerGiB: cpuSeconds.reduce((a, b) => a + b) / gibibytes,
        helperCpuSecondsPerGiB: (cpuSeconds[2] ?? 0) / gibibytes,
        residentMiBPeak: Math.max(...after.map(({ residentBytesPeak }) => residentBytesPeak)) / 2 ** 20,
      };
    }),
});
