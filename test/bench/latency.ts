/** Round trips on an open stream. `node test/bench/latency.ts [--stacks A,B] [--rounds 3] [--pings 5000] [--bytes 64]` */
import { runBenchmark } from "./lib/benchmark.ts";
import { withTrio } from "./lib/processes.ts";
import { quantile } from "./lib/statistics.ts";

/** Past two thousand small messages a relay link keeps to a pace (shared/limits.ts), which is not what is measured here. */
const RELAY_PINGS_MAX = 1_500;

await runBenchmark({
  name: "latency",
  stacks: [
    "raw-tcp",
    "peerloom-tcp",
    "libp2p-tcp",
    "hyperdht",
    "raw-datachannel",
    "peerloom-webrtc",
    "relay-bare",
    "peerloom-relay",
    "libp2p-relay",
  ],
  rounds: 3,
  numbers: { pings: 5_000, bytes: 64 },
  ratios: [
    { of: "peerloom-tcp", to: "raw-tcp", figure: "p50Us", atMost: 1.5 },
    { of: "peerloom-tcp", to: "raw-tcp", figure: "p99Us", atMost: 1.5 },
    { of: "peerloom-tcp", to: "libp2p-tcp", figure: "p50Us" },
    { of: "peerloom-tcp", to: "hyperdht", figure: "p50Us" },
    { of: "peerloom-webrtc", to: "raw-datachannel", figure: "p50Us", atMost: 1.5 },
    { of: "peerloom-webrtc", to: "raw-datachannel", figure: "p99Us", atMost: 1.5 },
    { of: "peerloom-relay", to: "relay-bare", figure: "p50Us", atMost: 1.5 },
    { of: "peerloom-relay", to: "relay-bare", figure: "p99Us", atMost: 1.5 },
  ],
  measure: (stack, { pings = 0, bytes = 0 }) =>
    withTrio(stack, async ({ dialler }) => {
      const count = stack.includes("relay") ? Math.min(pings, RELAY_PINGS_MAX) : pings;
      const microseconds = await dialler.call("latency", { count, bytes });
      return { p50Us: quantile(microseconds, 0.5), p99Us: quantile(microseconds, 0.99) };
    }),
});
