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
import type { BareEdgeOperations } from "./bare-edge.ts";
import { Client } from "./client.ts";
import { honestAddress, joinHonest } from "./honest.ts";
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

/** The same storm at a Worker that only says no. */
export interface BareOutcome {
  /** Until an honest peer is told so. */
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly undisturbedP50Ms: number;
  readonly undisturbedP95Ms: number;
  readonly attempts: number;
  readonly cpu: StormOutcome["cpu"];
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

export async function storm(options: StormOptions): Promise<StormOutcome> {
  const edge = new Remote<EdgeOperations>(scriptOf("../bench/lib/join-edge.ts"), [], "edge");
  if (options.apart) edge.pin(0);
  try {
    const url = await edge.call("start", { vars: { EDGE_ADMIN_TOKEN: TOKEN } });
    const { alone, beside, everyMs, late, ...cost } = await weather(options, url, edge, (index) =>
      joinHonest(url, NETWORK, index),
    );
    const { units, limit, stage } = await costOf(url);
    return {
      ...quantilesOf(
        alone.map(({ ms }) => ms),
        beside.map(({ ms }) => ms),
      ),
      joined: beside.filter(({ ms }) => ms !== undefined).length,
      joinedAtOnce: beside.filter(({ ms, tries }) => ms !== undefined && tries.length === 1).length,
      turnedAway: beside.flatMap(({ tries }, index) =>
        tries
          .filter(({ answer }) => answer !== "joined")
          .map(({ atMs, ...rest }) => ({ secondsIn: (index * everyMs + atMs) / 1_000, ...rest })),
      ),
      units,
      limit,
      stage,
      lateMs: late,
      ...cost,
    };
  } finally {
    await edge.end();
  }
}

export async function bareStorm(options: StormOptions): Promise<BareOutcome> {
  const edge = new Remote<BareEdgeOperations>(scriptOf("bare-edge.ts"), [], "bare edge");
  if (options.apart) edge.pin(0);
  try {
    const url = await edge.call("start", {});
    const { alone, beside, attempts, cpu } = await weather(options, url, edge, (index) => knock(url, index));
    return { ...quantilesOf(alone, beside), attempts, cpu };
  } finally {
    await edge.end();
  }
}

/** Honest peers alone, then beside the strangers; and what that cost whom. */
async function weather<T>(
  { sockets, seconds, honest, apart }: StormOptions,
  url: string,
  edge: Pick<Remote<Pick<EdgeOperations, "usage">>, "call">,
  one: (index: number) => Promise<T>,
) {
  const strangers = new Remote<HostileOperations>(scriptOf("hostile-sockets.ts"), [], "strangers");
  if (apart) strangers.pin(1);
  try {
    await oneEvery(UNDISTURBED_PAUSE_MS, WARM_UP, one);
    const alone = await oneEvery(UNDISTURBED_PAUSE_MS, honest, one);
    await strangers.call("begin", { edge: url, network: NETWORK, sockets });
    await rest(GATHER_MS);
    const before = await Promise.all([edge.call("usage", { collect: false }), strangers.call("usage", {})]);
    const own = process.cpuUsage();
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    const everyMs = (seconds * 1_000) / honest;
    const beside = await oneEvery(everyMs, honest, one);
    delay.disable();
    const after = await Promise.all([edge.call("usage", { collect: false }), strangers.call("usage", {})]);
    const { user, system } = process.cpuUsage(own);
    await strangers.call("end", {});
    return {
      alone,
      beside,
      everyMs,
      late: delay.percentile(95) / 1e6,
      attempts: after[1].begun - before[1].begun,
      outcomes: differenceOf(after[1].outcomes, before[1].outcomes),
      cpu: {
        edge: after[0].cpuSeconds - before[0].cpuSeconds,
        strangers: after[1].cpuSeconds - before[1].cpuSeconds,
        honest: (user + system) / 1e6,
      },
    };
  } finally {
    await strangers.end();
  }
}

/** One begins after the other, however long that one takes. */
function oneEvery<T>(everyMs: number, count: number, one: (index: number) => Promise<T>): Promise<T[]> {
  const all = Array.from({ length: count }, async (_, index) => {
    await rest(index * everyMs);
    return one(index);
  });
  return Promise.all(all);
}

/** @returns ms until it was turned away */
async function knock(edge: string, index: number): Promise<number> {
  const startMs = performance.now();
  const client = new Client({ edge, network: NETWORK, address: honestAddress(index) });
  await client.until(() => client.status !== 0);
  client.close();
  return performance.now() - startMs;
}

type Times = readonly (number | undefined)[];

/** Of those that were let in. */
function quantilesOf(alone: Times, beside: Times) {
  const [aloneMs, besideMs] = [alone, beside].map((all) => all.filter((ms) => ms !== undefined)) as [
    number[],
    number[],
  ];
  return {
    p50Ms: quantile(besideMs, 0.5),
    p95Ms: quantile(besideMs, 0.95),
    undisturbedP50Ms: quantile(aloneMs, 0.5),
    undisturbedP95Ms: quantile(aloneMs, 0.95),
  };
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
