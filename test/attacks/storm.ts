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
import { type HonestJoin, joinHonest } from "./honest.ts";
import { costOf, NETWORK, TOKEN } from "./suite.ts";

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
  /** At the first try. */
  readonly joinedAtOnce: number;
  /** How the others were turned away, each time. */
  readonly turnedAway: readonly {
    readonly secondsIn: number;
    readonly tookMs: number;
    readonly answer: string;
  }[];
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly undisturbedP50Ms: number;
  readonly undisturbedP95Ms: number;
  /** Attempts of hostile sockets in that time. */
  readonly attempts: number;
  /** What became of hostile sockets, by kind. */
  readonly outcomes: Readonly<Record<string, number>>;
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
  usage: {
    args: Record<string, never>;
    result: { begun: number; outcomes: Readonly<Record<string, number>>; cpuSeconds: number };
  };
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
    const everyMs = (seconds * 1_000) / honest;
    const beside = await joinEvery(everyMs, url, honest);
    late.disable();
    const after = await Promise.all([edge.call("usage", { collect: false }), strangers.call("usage", {})]);
    const { user, system } = process.cpuUsage(own);
    await strangers.call("end", {});
    const { units, limit, stage } = await costOf(url);
    const [tookMs, aloneMs] = [beside, alone].map(timesOf) as [number[], number[]];
    return {
      joined: tookMs.length,
      joinedAtOnce: beside.filter(({ ms, tries }) => ms !== undefined && tries.length === 1).length,
      turnedAway: beside.flatMap(({ tries }, index) =>
        tries
          .filter(({ answer }) => answer !== "joined")
          .map(({ atMs, ...rest }) => ({ secondsIn: (index * everyMs + atMs) / 1_000, ...rest })),
      ),
      p50Ms: quantile(tookMs, 0.5),
      p95Ms: quantile(tookMs, 0.95),
      undisturbedP50Ms: quantile(aloneMs, 0.5),
      undisturbedP95Ms: quantile(aloneMs, 0.95),
      attempts: after[1].begun - before[1].begun,
      outcomes: differenceOf(after[1].outcomes, before[1].outcomes),
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

/** One begins after the other, however long that one takes. */
function joinEvery(everyMs: number, edge: string, count: number): Promise<HonestJoin[]> {
  const joins = Array.from({ length: count }, async (_, index) => {
    await rest(index * everyMs);
    return joinHonest(edge, NETWORK, index);
  });
  return Promise.all(joins);
}

/** ms of those that were let in. */
function timesOf(joins: readonly HonestJoin[]): number[] {
  return joins.map(({ ms }) => ms).filter((ms) => ms !== undefined);
}

function differenceOf(
  after: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)]),
  );
}

function scriptOf(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
