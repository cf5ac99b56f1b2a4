/**
 * Hostile sockets of all kinds at once, for a minute, with honest peers that join beside them: how long those wait, what it costs, and whose
 * processor time it was. Edge, strangers and honest peers are processes of their own, so that none is slow by another's work in its own loop.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as rest } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { EdgeOperations } from "../bench/lib/join-operations.ts";
import { Remote } from "../bench/lib/remote.ts";
import { quantile } from "../bench/lib/statistics.ts";
import { costOf, joinOneHonest, NETWORK, TOKEN } from "./suite.ts";

export interface StormOptions {
  readonly sockets: number;
  readonly seconds: number;
  /** Honest joins, evenly over that time. */
  readonly honest: number;
  /** Edge and honest peers on one processor, strangers on another: what is left of their influence is what the edge lets them have. */
  readonly apart: boolean;
}

export interface StormOutcome {
  readonly joined: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly undisturbedP50Ms: number;
  readonly undisturbedP95Ms: number;
  /** Attempts of hostile sockets in that time. */
  readonly attempts: number;
  readonly units: number;
  readonly limit: number;
  readonly stage: string;
  /** Seconds of processor time, of `seconds`. */
  readonly cpu: { readonly edge: number; readonly strangers: number; readonly honest: number };
  /** How late the honest peers' own loop was, 95th percentile: not the edge's fault. */
  readonly lateMs: number;
}

/** What the process of the hostile sockets may be asked. */
export interface HostileOperations {
  begin: { args: { edge: string; network: string; sockets: number }; result: null };
  usage: { args: Record<string, never>; result: { begun: number; cpuSeconds: number } };
  end: { args: Record<string, never>; result: null };
}

const UNDISTURBED_PAUSE_MS = 100;
const WARM_UP = 20;
/** All of them are there before the first honest peer comes. */
const GATHER_MS = 5_000;

export async function storm({ sockets, seconds, honest, apart }: StormOptions): Promise<StormOutcome> {
  const edge = new Remote<EdgeOperations>(scriptOf("../bench/lib/join-edge.ts"), [], "edge");
  const strangers = new Remote<HostileOperations>(scriptOf("hostile-sockets.ts"), [], "strangers");
  if (apart) {
    edge.pin(0);
    strangers.pin(1);
  }
  try {
    const url = await edge.call("start", { vars: { EDGE_ADMIN_TOKEN: TOKEN } });
    await joinEvery(UNDISTURBED_PAUSE_MS, url, WARM_UP);
    const alone = await joinEvery(UNDISTURBED_PAUSE_MS, url, honest);
    await strangers.call("begin", { edge: url, network: NETWORK, sockets });
    await rest(GATHER_MS);
    const before = await Promise.all([edge.call("usage", { collect: false }), strangers.call("usage", {})]);
    const own = process.cpuUsage();
    const late = monitorEventLoopDelay({ resolution: 5 });
    late.enable();
    const beside = await joinEvery((seconds * 1_000) / honest, url, honest);
    late.disable();
    const after = await Promise.all([edge.call("usage", { collect: false }), strangers.call("usage", {})]);
    const { user, system } = process.cpuUsage(own);
    await strangers.call("end", {});
    const { units, limit, stage } = await costOf(url);
    return {
      joined: beside.length,
      p50Ms: quantile(beside, 0.5),
      p95Ms: quantile(beside, 0.95),
      undisturbedP50Ms: quantile(alone, 0.5),
      undisturbedP95Ms: quantile(alone, 0.95),
      attempts: after[1].begun - before[1].begun,
      units,
      limit,
      stage,
      cpu: {
        edge: after[0].cpuSeconds - before[0].cpuSeconds,
        strangers: after[1].cpuSeconds - before[1].cpuSeconds,
        honest: (user + system) / 1e6,
      },
      lateMs: late.percentile(95) / 1e6,
    };
  } finally {
    await Promise.all([strangers.end(), edge.end()]);
  }
}

/** One begins after the other, however long that one takes. @returns ms of those that were let in */
async function joinEvery(everyMs: number, edge: string, count: number): Promise<number[]> {
  const joins = Array.from({ length: count }, async (_, index) => {
    await rest(index * everyMs);
    return joinOneHonest(edge, index);
  });
  return (await Promise.all(joins)).filter((ms) => ms !== undefined);
}

function scriptOf(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
