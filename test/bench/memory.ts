/**
 * What an idle connection holds on each side, and what an idle, joined peer costs the edge (`peerloom-joined`, helper).
 * `node test/bench/memory.ts [--stacks A,B] [--rounds 3] [--connections 50]`
 */
import { setTimeout as rest } from "node:timers/promises";
import { runBenchmark } from "./lib/benchmark.ts";
import { withTrio } from "./lib/processes.ts";

/** Before the first reading: what the first connection loads belongs to the process. */
const FIRST = 5;
/** Lets buffers of the last handshakes go; part of the measurement, not a wait for anything. */
const REST_MS = 2_000;

await runBenchmark({
  name: "memory",
  stacks: [
    "raw-tcp",
    "peerloom-tcp",
    "libp2p-tcp",
    "raw-datachannel",
    "peerloom-webrtc",
    "peerloom-relay",
    "peerloom-joined",
  ],
  rounds: 3,
  numbers: { connections: 50 },
  ratios: [
    { of: "peerloom-tcp", to: "libp2p-tcp", figure: "listenerKiB" },
    { of: "peerloom-webrtc", to: "raw-datachannel", figure: "listenerKiB" },
  ],
  measure: (stack, { connections = 0 }) =>
    withTrio(stack, async ({ dialler, usage }) => {
      await dialler.call("hold", { count: FIRST });
      const before = await usage(true);
      await dialler.call("hold", { count: connections });
      await rest(REST_MS);
      const after = await usage(true);
      const kibibytes = (index: number): number =>
        ((after[index]?.residentBytes ?? 0) - (before[index]?.residentBytes ?? 0)) / connections / 1024;
      return {
        listenerKiB: kibibytes(0),
        diallerKiB: kibibytes(1),
        helperKiB: kibibytes(2),
        processMiB: (before[0]?.residentBytes ?? 0) / 2 ** 20,
      };
    }),
});
