/**
 * From the dial to the first byte echoed, both sides already joined. Cold is the first dial of fresh processes, warm the
 * ones behind it. `node test/bench/connect.ts [--stacks A,B] [--rounds 10] [--warm 3]`
 */
import { runBenchmark } from "./lib/benchmark.ts";
import { withTrio } from "./lib/processes.ts";
import { quantile } from "./lib/statistics.ts";

/** Above, a dial has waited for a lost packet to be sent again. */
const STALL_MS = 500;

await runBenchmark({
  name: "connect",
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
  rounds: 10,
  numbers: { warm: 3 },
  ratios: [
    { of: "peerloom-tcp", to: "hyperdht", figure: "warmMs" },
    { of: "peerloom-tcp", to: "libp2p-tcp", figure: "warmMs" },
    { of: "peerloom-webrtc", to: "raw-datachannel", figure: "warmMs" },
    // A bare pair takes one round trip to the edge after another: join, call, ready. Ours may take three as well.
    { of: "peerloom-relay", to: "relay-bare", figure: "warmMs" },
    { of: "peerloom-relay", to: "libp2p-relay", figure: "warmMs" },
  ],
  measure: (stack, { warm = 0 }) =>
    withTrio(stack, async ({ dialler }) => {
      const coldMs = await dialler.call("connect", {});
      const warmMs: number[] = [];
      for (let i = 0; i < warm; i++) warmMs.push(await dialler.call("connect", {}));
      return {
        coldMs,
        warmMs: quantile(warmMs, 0.5),
        warmMsMax: Math.max(...warmMs),
        stalls: [coldMs, ...warmMs].filter((ms) => ms > STALL_MS).length,
      };
    }),
});
