/**
 * What `peerloom sim` runs: a network, then churn, a massacre or liars, and lookups all the while; the figures that it prints.
 */
import { SyncClock } from "../adapters/sim/sync-clock.ts";
import { LINK_BUDGETS, type LinkBudget } from "../overlay/mesh/link-table.ts";
import type { Traffic } from "../overlay/mesh/mesh.ts";
import { Churn, type JoinFigures, Joins, massacre } from "./churn.ts";
import { type LookupFigures, Lookups } from "./lookups.ts";
import { buildNetwork } from "./oracle.ts";
import { Partition } from "./partition.ts";
import { type RecordFigures, RecordTrial } from "./records.ts";
import { rounded } from "./statistics.ts";
import { World } from "./world.ts";

export interface ExperimentOptions {
  readonly nodes: number;
  readonly seed: number | string;
  /** Links wanted by each peer. @default 32 */
  readonly links?: number;
  /** Median length of a session, ms; nobody comes or goes without it. */
  readonly churnMsMedian?: number | undefined;
  /** Share that dies at one instant, before the lookups. @default 0 */
  readonly kill?: number;
  /** Share that acknowledges requests and then abuses them (malice.ts). @default 0 */
  readonly malicious?: number;
  /** Share of packets lost on each link. @default 0 */
  readonly loss?: number;
  /** Share behind NATs that only peers without one get through. @default 0 */
  readonly nat?: number;
  /** Half of all peers is cut off from the other half for so long, ms, before the lookups. @default 0 */
  readonly cutMs?: number;
  /** Virtual time of churn, ms. @default 120_000 */
  readonly durationMs?: number;
  /** @default 2000 */
  readonly lookups?: number;
  /** Put at the start, and read at the end. @default 200 */
  readonly records?: number;
  /** Called ten times a simulated second. */
  onProgress?(doneMs: number, totalMs: number): void;
}

export interface ExperimentResult {
  readonly nodes: number;
  readonly seed: number | string;
  readonly links: { readonly target: number; readonly mean: number };
  readonly lookups: LookupFigures;
  readonly join: JoinFigures;
  readonly records: RecordFigures;
  /** `mergedMs`: from the end of the cut until all lookups across were answered; null when that took over two minutes. */
  readonly cut?: { readonly mergedMs: number | null };
  readonly upkeepBytesPerSecond: number;
  readonly upkeepByKind: { readonly [kind in Traffic]?: number };
  readonly edgeMessagesPerPeerHour: number;
}

const SETTLE_MS = 20_000;
const LOOKUP_END_MS = 6_000;
/** All records are put in this time. */
const PUT_MS = 16_000;
const STEP_MS = 100;
/** Copies of a lookup where some peers abuse what they should forward. */
const COPIES_AGAINST_LIARS = 3;

/** Takes minutes of its thread with thousands of peers. */
export function runExperiment(options: ExperimentOptions): ExperimentResult {
  const {
    nodes,
    seed,
    links = 32,
    churnMsMedian,
    kill = 0,
    malicious = 0,
    loss = 0,
    nat = 0,
    cutMs = 0,
    durationMs = 120_000,
    lookups = 2_000,
    records = 200,
  } = options;
  const clock = new SyncClock();
  const budget: LinkBudget =
    links === 32 ? LINK_BUDGETS.browser : { target: links, max: Math.round(links * 1.25) };
  const world = new World({ seed, clock, budget, malicious, loss, nat });
  buildNetwork(world, nodes, budget);
  const spanMs = kill > 0 ? 0 : durationMs;
  const totalMs = SETTLE_MS + PUT_MS + cutMs + spanMs + 2 * LOOKUP_END_MS;
  let doneMs = 0;
  const advance = (ms: number): void => {
    for (const endMs = doneMs + ms; doneMs < endMs;) {
      const stepMs = Math.min(STEP_MS, endMs - doneMs);
      clock.advance(stepMs);
      doneMs += stepMs;
      options.onProgress?.(doneMs, totalMs);
    }
  };
  advance(SETTLE_MS);
  const trial = new RecordTrial(world, records);
  trial.put(PUT_MS - LOOKUP_END_MS);
  advance(PUT_MS);
  const joins = new Joins(world);
  if (churnMsMedian !== undefined) new Churn(world, churnMsMedian, nodes, joins).begin();
  if (kill > 0) massacre(world, kill);
  let mergedMs: number | undefined;
  if (cutMs > 0) {
    const partition = new Partition(world);
    partition.begin();
    advance(cutMs);
    mergedMs = partition.heal(advance);
  }
  // First what the network costs by itself, then the lookups, which would count as its upkeep.
  const upkeepByKind = upkeepOf(world, () => advance(spanMs / 2));
  joins.lookForNewcomers();
  const probe = new Lookups(world, lookups, spanMs / 2, malicious > 0 ? COPIES_AGAINST_LIARS : 1);
  advance(spanMs / 2 + LOOKUP_END_MS);
  trial.get(0);
  advance(LOOKUP_END_MS);
  let linkCount = 0;
  for (const peer of world.alive) linkCount += peer.mesh.size;
  const steadyEdge = world.edgeMessages - world.joinMessages;
  return {
    nodes,
    seed,
    links: { target: links, mean: rounded(linkCount / world.alive.length, 1) },
    lookups: probe.result(),
    join: joins.result(),
    records: trial.result(),
    ...(cutMs > 0 ? { cut: { mergedMs: mergedMs ?? null } } : {}),
    upkeepBytesPerSecond: rounded(
      Object.values(upkeepByKind).reduce((sum, each) => sum + each, 0),
      0,
    ),
    upkeepByKind,
    edgeMessagesPerPeerHour: rounded(steadyEdge / (totalMs / 3_600_000) / world.alive.length, 3),
  };
}

/** Bytes that a peer sends in a second, by kind. */
function upkeepOf(world: World, pass: () => void): ExperimentResult["upkeepByKind"] {
  const before = new Map([...world.bytes].map(([kind, { total }]) => [kind, total]));
  const startMs = world.clock.monotonicMs();
  pass();
  const seconds = (world.clock.monotonicMs() - startMs) / 1_000;
  const byKind: { [kind in Traffic]?: number } = {};
  if (seconds === 0) return byKind;
  for (const [kind, { total }] of world.bytes)
    byKind[kind] = rounded((total - (before.get(kind) ?? 0)) / seconds / world.alive.length, 1);
  return byKind;
}
