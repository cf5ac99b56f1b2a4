/**
 * An embedded edge under many cheap sockets that speak the real join protocol: joins a second with one, two and four shards and with two edges,
 * what a join takes of each shard, memory of an idle socket, and how those come back whose edge was killed, several times in a row.
 * `node test/bench/edge.ts [--stacks shards-1,shards-2,shards-4,edges-2] [--rounds 3] [--sockets 4000] [--processes 2] [--atOnce 64] [--awayMs 3000] [--kills 1]`
 */
import { setTimeout as rest } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { addUsage } from "../../shared/budget.ts";
import { runBenchmark } from "./lib/benchmark.ts";
import type { EdgeOperations, LoadOperations } from "./lib/join-operations.ts";
import type { Usage } from "./lib/operations.ts";
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

const NETWORK = "bench";
/** What limits an object and is billed; each should fall with the number of shards. */
const SHARD_FIGURES = ["shardRequestsAJoin", "shardMessagesAJoin", "shardAwakeMsAJoin"] as const;

await runBenchmark({
  name: "edge",
  source: (stack) => {
    if (!/^(shards|edges)-[1-9]\d?$/.test(stack))
      throw new Error(`No stack "${stack}"; there are shards-N and edges-N.`);
    return {};
  },
  stacks: ["shards-1", "shards-2", "shards-4", "edges-2"],
  rounds: 1,
  numbers: { sockets: 4_000, processes: 2, atOnce: 64, awayMs: 3_000, kills: 1 },
  ratios: [
    ...[2, 4].flatMap((shards) =>
      ["joinsPerSecond", "cpuUsAJoin", ...SHARD_FIGURES].map((figure) => ({
        of: `shards-${shards}`,
        to: "shards-1",
        figure,
      })),
    ),
    { of: "edges-2", to: "shards-1", figure: "joinsPerSecond" },
    { of: "edges-2", to: "shards-1", figure: "cpuUsAJoin" },
  ],
  goals: ["shards-1", "shards-2", "shards-4"].map((of) => ({ of, figure: "allBackSeconds", atMost: 60 })),
  measure: async (stack, { sockets = 0, processes = 0, atOnce = 0, awayMs = 0, kills = 0 }) => {
    const count = Number(stack.slice(stack.indexOf("-") + 1));
    const shards = stack.startsWith("shards-") ? count : 1;
    const edges = Array.from(
      { length: count / shards },
      (_, index) => new Remote<EdgeOperations>(scriptOf("join-edge"), [], `${stack} ${index}`),
    );
    const loads = Array.from(
      { length: processes },
      (_, index) => new Remote<LoadOperations>(scriptOf("join-load"), [], `load ${index}`),
    );
    try {
      const vars = { RENDEZVOUS_SHARDS: String(shards) };
      const urls = await Promise.all(edges.map((edge) => edge.call("start", { vars })));
      /** Every edge has the same number of processes that use it, or one more. */
      const urlOf = (load: number): string => urls[load % urls.length] as string;
      for (const edge of urls) await loads[0]?.call("open", { edge, network: "first", count: FIRST, atOnce });
      await loads[0]?.call("close", {});
      const before = await usageOf(edges);

      const startMs = performance.now();
      const each = Math.ceil(sockets / processes);
      const opened = await Promise.all(
        loads.map((load, index) =>
          load.call("open", { edge: urlOf(index), network: NETWORK, count: each, atOnce }),
        ),
      );
      const seconds = (performance.now() - startMs) / 1000;
      const tookMs = opened.flatMap((one) => one.tookMs);
      const joins = tookMs.length;
      await rest(REST_MS);
      const idle = await usageOf(edges);
      const metrics = await Promise.all(edges.map((edge) => edge.call("metrics", {})));
      const accounts = await Promise.all(edges.map((edge) => edge.call("account", { network: NETWORK })));
      const used = accounts.reduce((sum, account) => addUsage(sum, account));
      const busiestShard = Math.max(...opened.flatMap((one) => one.membersTold));

      await Promise.all(loads.map((load, index) => load.call("comeBack", { edge: urlOf(index) })));
      const returns: Return[] = [];
      for (let kill = 0; kill < kills; kill++) {
        await Promise.all(loads.map((load) => load.call("forget", {})));
        const lostMs = Date.now();
        await Promise.all(edges.map((edge) => edge.call("restart", { awayMs })));
        returns.push({ lostMs, upMs: Date.now(), ...(await returnsOf(loads, joins)) });
      }
      const worst = (figure: (one: Return) => number): number => Math.max(...returns.map(figure));
      return {
        joined: joins,
        refused: sockets - joins,
        joinsPerSecond: joins / seconds,
        joinP50Ms: quantile(tookMs, 0.5),
        joinP95Ms: quantile(tookMs, 0.95),
        cpuUsAJoin: ((idle.cpuSeconds - before.cpuSeconds) * 1e6) / joins,
        idleKiB: (idle.residentBytes - before.residentBytes) / joins / 1024,
        shardRequestsAJoin: used.objectRequests / count / joins,
        shardMessagesAJoin: used.messages / count / joins,
        shardAwakeMsAJoin: used.awakeMs / count / joins,
        // Of what each had if they were alike. Members are told in the order they come, so the last of the largest shard knows.
        ...(shards > 1 && { busiestShardShare: (busiestShard * shards) / joins }),
        metricsMembers: metrics.reduce((sum, one) => sum + (one["peerloom_members"] ?? 0), 0),
        returned: Math.min(...returns.map(({ joined }) => joined)),
        allBackSeconds: worst(({ joinsMs, lostMs }) => (Math.max(...joinsMs) - lostMs) / 1000),
        afterUpSeconds: worst(({ joinsMs, upMs }) => (Math.max(...joinsMs) - upMs) / 1000),
        joinsPeakPerSecond: worst(({ joinsMs }) => busiest(joinsMs)),
        dialsPeakPerSecond: worst(({ dialsMs }) => busiest(dialsMs)),
        dialsTimedOut: worst(({ timedOut }) => timedOut),
      };
    } finally {
      await Promise.all([...loads, ...edges].map((one) => one.end()));
    }
  },
});

type Returns = LoadOperations["returns"]["result"];
type Return = Returns & { readonly lostMs: number; readonly upMs: number };

/** Of all edges, after collection. */
async function usageOf(edges: readonly Remote<EdgeOperations>[]): Promise<Usage> {
  const each = await Promise.all(edges.map((edge) => edge.call("usage", { collect: true })));
  return each.reduce((a, b) => ({
    cpuSeconds: a.cpuSeconds + b.cpuSeconds,
    residentBytes: a.residentBytes + b.residentBytes,
    residentBytesPeak: a.residentBytesPeak + b.residentBytesPeak,
  }));
}

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
