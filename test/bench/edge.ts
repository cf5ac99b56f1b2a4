/**
 * An embedded edge under many cheap sockets that speak the real join protocol: joins a second with one, two and four shards, memory of an
 * idle socket, and how those come back whose edge was killed.
 * `node test/bench/edge.ts [--stacks shards-1,shards-2,shards-4] [--rounds 3] [--sockets 4000] [--processes 2] [--atOnce 64] [--awayMs 3000]`
 */
import { setTimeout as rest } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { runBenchmark } from "./lib/benchmark.ts";
import type { EdgeOperations, LoadOperations } from "./lib/join-operations.ts";
import { Remote } from "./lib/remote.ts";
import { quantile } from "./lib/statistics.ts";

/** Opened and closed before anything is measured. */
const FIRST = 50;
/** Everybody is to be back within a minute of the edge's return; more is not waited for. */
const RETURN_MS_MAX = 90_000;
/** Clients are asked so often whether they are back; their own clocks give the figures. */
const LOOK_MS = 250;
/** Lets the garbage of the joins go; part of the measurement, not a wait for anything. */
const REST_MS = 2_000;

await runBenchmark({
  name: "edge",
  source: (stack) => {
    if (!/^shards-[1-9]\d?$/.test(stack)) throw new Error(`No stack "${stack}"; there is shards-N.`);
    return {};
  },
  stacks: ["shards-1", "shards-2", "shards-4"],
  rounds: 1,
  numbers: { sockets: 4_000, processes: 2, atOnce: 64, awayMs: 3_000 },
  ratios: [
    { of: "shards-2", to: "shards-1", figure: "joinsPerSecond" },
    { of: "shards-4", to: "shards-1", figure: "joinsPerSecond" },
  ],
  goals: ["shards-1", "shards-2", "shards-4"].map((of) => ({ of, figure: "allBackSeconds", atMost: 60 })),
  measure: async (stack, { sockets = 0, processes = 0, atOnce = 0, awayMs = 0 }) => {
    const shards = Number(stack.slice("shards-".length));
    const edge = new Remote<EdgeOperations>(scriptOf("join-edge"), [], stack);
    const loads = Array.from(
      { length: processes },
      (_, index) => new Remote<LoadOperations>(scriptOf("join-load"), [], `load ${index}`),
    );
    try {
      const url = await edge.call("start", { vars: { RENDEZVOUS_SHARDS: String(shards) } });
      await loads[0]?.call("open", { edge: url, network: "first", count: FIRST, atOnce });
      await loads[0]?.call("close", {});
      const before = await edge.call("usage", { collect: true });

      const startMs = performance.now();
      const count = Math.ceil(sockets / processes);
      const opened = await Promise.all(
        loads.map((load) => load.call("open", { edge: url, network: "bench", count, atOnce })),
      );
      const seconds = (performance.now() - startMs) / 1000;
      const tookMs = opened.flatMap((each) => each.tookMs);
      await rest(REST_MS);
      const idle = await edge.call("usage", { collect: true });
      const metrics = await edge.call("metrics", {});

      await Promise.all(loads.map((load) => load.call("comeBack", { edge: url })));
      const lostMs = Date.now();
      await edge.call("restart", { awayMs });
      const upMs = Date.now();
      const back = await returnsOf(loads, tookMs.length);
      return {
        joined: tookMs.length,
        refused: sockets - tookMs.length,
        joinsPerSecond: tookMs.length / seconds,
        joinP50Ms: quantile(tookMs, 0.5),
        joinP95Ms: quantile(tookMs, 0.95),
        cpuUsAJoin: ((idle.cpuSeconds - before.cpuSeconds) * 1e6) / tookMs.length,
        idleKiB: (idle.residentBytes - before.residentBytes) / tookMs.length / 1024,
        metricsMembers: metrics["peerloom_members"] ?? 0,
        returned: back.joined,
        allBackSeconds: (Math.max(...back.joinsMs) - lostMs) / 1000,
        afterUpSeconds: (Math.max(...back.joinsMs) - upMs) / 1000,
        joinsPeakPerSecond: busiest(back.joinsMs),
        dialsPeakPerSecond: busiest(back.dialsMs),
        dialsTimedOut: back.timedOut,
      };
    } finally {
      await Promise.all([...loads, edge].map((each) => each.end()));
    }
  },
});

type Returns = LoadOperations["returns"]["result"];

async function returnsOf(loads: readonly Remote<LoadOperations>[], count: number): Promise<Returns> {
  const endMs = performance.now() + RETURN_MS_MAX;
  for (;;) {
    const parts = await Promise.all(loads.map((load) => load.call("returns", {})));
    const joined = parts.reduce((sum, each) => sum + each.joined, 0);
    const joinsMs = parts.flatMap((each) => each.joinsMs);
    if ((joined >= count && joinsMs.length >= count) || performance.now() > endMs)
      return {
        joined,
        joinsMs,
        dialsMs: parts.flatMap((each) => each.dialsMs),
        timedOut: parts.reduce((sum, each) => sum + each.timedOut, 0),
      };
    await rest(LOOK_MS);
  }
}

function busiest(timesMs: readonly number[]): number {
  const bySecond = new Map<number, number>();
  for (const ms of timesMs) {
    const second = Math.floor(ms / 1000);
    bySecond.set(second, (bySecond.get(second) ?? 0) + 1);
  }
  return Math.max(0, ...bySecond.values());
}

function scriptOf(name: string): string {
  return fileURLToPath(new URL(`lib/${name}.ts`, import.meta.url));
}
