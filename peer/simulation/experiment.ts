/**
 * What `peerloom sim` runs: a network, then churn, a massacre or liars, and lookups all the while; the figures that it prints.
 */
import { SyncClock } from "../adapters/sim/sync-clock.ts";
import { LINK_BUDGETS, type LinkBudget } from "../overlay/mesh/link-table.ts";
import type { Traffic } from "../overlay/mesh/mesh.ts";
import { distance } from "../overlay/mesh/mesh-key.ts";
import { buildNetwork } from "./oracle.ts";
import { type SimPeer, World } from "./world.ts";

export interface ExperimentOptions {
  readonly nodes: number;
  readonly seed: number | string;
  /** Links wanted by each peer. @default 32 */
  readonly links?: number;
  /** Median length of a session, ms; nobody comes or goes without it. */
  readonly churnMsMedian?: number | undefined;
  /** Share that dies at one instant, before the lookups. @default 0 */
  readonly kill?: number;
  /** Share that acknowledges and drops. @default 0 */
  readonly malicious?: number;
  /** Virtual time of churn, ms. @default 120_000 */
  readonly durationMs?: number;
  /** @default 2000 */
  readonly lookups?: number;
  /** Lets the host do other things, once a simulated second. */
  pause?(): Promise<void>;
  onProgress?(doneMs: number, totalMs: number): void;
  readonly signal?: AbortSignal;
}

export interface ExperimentResult {
  readonly nodes: number;
  readonly seed: number | string;
  readonly links: { readonly target: number; readonly mean: number };
  readonly lookups: {
    readonly count: number;
    /** Answered by the peer looked for, by the first copy of the request. */
    readonly firstTry: number;
    readonly success: number;
    readonly hopsMean: number;
    readonly rttMsP50: number;
    readonly rttMsP99: number;
    /** Of lookups of random keys, those answered by the very closest peer, and by one of the eight. */
    readonly root: number;
    readonly closestEight: number;
  };
  readonly join: {
    readonly count: number;
    readonly msP50: number;
    readonly msP95: number;
    readonly edgeMessages: number;
  };
  readonly upkeepBytesPerSecond: number;
  readonly upkeepByKind: { readonly [kind in Traffic]?: number };
  readonly edgeMessagesPerPeerHour: number;
}

/** Shape of the session lengths: many short, few very long (Weibull; Stutzbach and Rejaie, IMC 2006). */
const CHURN_SHAPE = 0.5;
const SETTLE_MS = 20_000;
const LOOKUP_END_MS = 6_000;
const STEP_MS = 1_000;
/** First hops of a lookup where some peers drop what they should forward. */
const COPIES_AGAINST_LIARS = 3;

/** @throws the signal's reason when aborted */
export async function runExperiment(options: ExperimentOptions): Promise<ExperimentResult> {
  const {
    nodes,
    seed,
    links = 32,
    churnMsMedian,
    kill = 0,
    malicious = 0,
    durationMs = 120_000,
    lookups = 2_000,
  } = options;
  const clock = new SyncClock();
  const budget: LinkBudget =
    links === 32 ? LINK_BUDGETS.browser : { target: links, max: Math.round(links * 1.25) };
  const world = new World({ seed, clock, budget, malicious });
  buildNetwork(world, nodes, budget);
  const spanMs = kill > 0 ? 0 : durationMs;
  const totalMs = SETTLE_MS + spanMs + LOOKUP_END_MS;
  let doneMs = 0;
  const advance = async (ms: number): Promise<void> => {
    for (const endMs = doneMs + ms; doneMs < endMs;) {
      const stepMs = Math.min(STEP_MS, endMs - doneMs);
      clock.advance(stepMs);
      doneMs += stepMs;
      options.onProgress?.(doneMs, totalMs);
      await options.pause?.();
      options.signal?.throwIfAborted();
    }
  };
  await advance(SETTLE_MS);
  const joins = new Joins(world);
  if (churnMsMedian !== undefined) new Churn(world, churnMsMedian, nodes, joins).begin();
  if (kill > 0) massacre(world, kill);
  // First what the network costs by itself, then the lookups, which would count as its upkeep.
  const upkeepByKind = await upkeepOf(world, () => advance(spanMs / 2));
  const probe = new Lookups(world, lookups, spanMs / 2, malicious > 0 ? COPIES_AGAINST_LIARS : 1);
  await advance(spanMs / 2 + LOOKUP_END_MS);
  let linkCount = 0;
  for (const peer of world.alive) linkCount += peer.mesh.size;
  const steadyEdge = world.edgeMessages - world.joinMessages;
  return {
    nodes,
    seed,
    links: { target: links, mean: rounded(linkCount / world.alive.length, 1) },
    lookups: probe.result(),
    join: joins.result(),
    upkeepBytesPerSecond: rounded(
      Object.values(upkeepByKind).reduce((sum, each) => sum + each, 0),
      0,
    ),
    upkeepByKind,
    edgeMessagesPerPeerHour: rounded(steadyEdge / (totalMs / 3_600_000) / world.alive.length, 3),
  };
}

/** Bytes that a peer sends in a second, by kind. */
async function upkeepOf(world: World, pass: () => Promise<void>): Promise<ExperimentResult["upkeepByKind"]> {
  const before = new Map(world.bytes);
  const startMs = world.clock.monotonicMs();
  await pass();
  const seconds = (world.clock.monotonicMs() - startMs) / 1_000;
  const byKind: { [kind in Traffic]?: number } = {};
  if (seconds === 0) return byKind;
  for (const [kind, bytes] of world.bytes)
    byKind[kind] = rounded((bytes - (before.get(kind) ?? 0)) / seconds / world.alive.length, 1);
  return byKind;
}

class Lookups {
  readonly #world: World;
  readonly #copies: number;
  readonly #hops: number[] = [];
  readonly #rttsMs: number[] = [];
  #asked = 0;
  #firstTry = 0;
  #found = 0;
  #keys = 0;
  #root = 0;
  #eight = 0;

  constructor(world: World, count: number, spanMs: number, copies: number) {
    this.#world = world;
    this.#copies = copies;
    for (let i = 0; i < count; i++) {
      world.clock.setTimer(world.random.unit() * spanMs, () =>
        i % 2 === 0 ? this.#find() : this.#findKey(),
      );
    }
  }

  result(): ExperimentResult["lookups"] {
    const share = (part: number, whole: number): number => (whole === 0 ? 0 : rounded(part / whole, 5));
    this.#rttsMs.sort((a, b) => a - b);
    return {
      count: this.#asked + this.#keys,
      firstTry: share(this.#firstTry, this.#asked),
      success: share(this.#found, this.#asked),
      hopsMean: rounded(this.#hops.reduce((sum, each) => sum + each, 0) / Math.max(this.#hops.length, 1), 2),
      rttMsP50: rounded(quantile(this.#rttsMs, 0.5), 0),
      rttMsP99: rounded(quantile(this.#rttsMs, 0.99), 0),
      root: share(this.#root, this.#keys),
      closestEight: share(this.#eight, this.#keys),
    };
  }

  /** One peer looks for another. */
  #find(): void {
    const from = this.#ready();
    const to = this.#ready();
    if (from === to) return;
    this.#asked += 1;
    from.mesh.deliver(
      to.key,
      new Uint8Array(16),
      (answer) => {
        // Who dies meanwhile cannot answer, and who asked cannot hear.
        if (!to.alive || !from.alive) this.#asked -= 1;
        else if (answer !== undefined) {
          this.#found += 1;
          if (answer.firstTry) this.#firstTry += 1;
          this.#hops.push(answer.hops);
          this.#rttsMs.push(answer.rttMs);
        }
      },
      { copies: this.#copies },
    );
  }

  #findKey(): void {
    const from = this.#ready();
    const target = Math.floor(this.#world.random.unit() * 2 ** 52);
    this.#keys += 1;
    from.mesh.lookup(
      target,
      (found) => {
        if (!from.alive) {
          this.#keys -= 1;
          return;
        }
        const root = found?.contacts[0]?.key;
        if (root === undefined) return;
        const away = distance(root, target);
        let closer = 0;
        for (const peer of this.#world.alive) {
          if (peer.readyAtMs !== undefined && distance(peer.key, target) < away) closer += 1;
        }
        if (closer === 0) this.#root += 1;
        if (closer < 8) this.#eight += 1;
      },
      { copies: this.#copies },
    );
  }

  #ready(): SimPeer {
    for (;;) {
      const peer = this.#world.pick();
      if (peer.readyAtMs !== undefined && !peer.malicious) return peer;
    }
  }
}

/** How long newcomers take. */
class Joins {
  readonly #world: World;
  readonly #started: SimPeer[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  join(): SimPeer {
    const peer = this.#world.join();
    this.#started.push(peer);
    return peer;
  }

  result(): ExperimentResult["join"] {
    const done = this.#started.filter(({ readyAtMs }) => readyAtMs !== undefined);
    const ms = done.map(({ readyAtMs, bornAtMs }) => (readyAtMs as number) - bornAtMs).sort((a, b) => a - b);
    const edge = done.reduce((sum, { edgeMessages }) => sum + edgeMessages, 0);
    return {
      count: done.length,
      msP50: rounded(quantile(ms, 0.5), 0),
      msP95: rounded(quantile(ms, 0.95), 0),
      edgeMessages: rounded(edge / Math.max(done.length, 1), 1),
    };
  }
}

/** Peers come and go, as many as there were. */
class Churn {
  readonly #world: World;
  readonly #scaleMs: number;
  readonly #everyMs: number;
  readonly #joins: Joins;

  constructor(world: World, msMedian: number, nodes: number, joins: Joins) {
    this.#world = world;
    this.#scaleMs = msMedian / Math.LN2 ** (1 / CHURN_SHAPE);
    // The mean of a Weibull of shape 1/2 is twice its scale.
    this.#everyMs = (2 * this.#scaleMs) / nodes;
    this.#joins = joins;
  }

  begin(): void {
    for (const peer of [...this.#world.alive]) this.#dieIn(peer, this.#residualMs());
    this.#nextJoin();
  }

  #nextJoin(): void {
    const { clock, random } = this.#world;
    clock.setTimer(-Math.log(1 - random.unit()) * this.#everyMs, () => {
      this.#dieIn(this.#joins.join(), this.#lengthMs());
      this.#nextJoin();
    });
  }

  #dieIn(peer: SimPeer, ms: number): void {
    this.#world.clock.setTimer(ms, () => this.#world.kill(peer));
  }

  #lengthMs(): number {
    return this.#scaleMs * (-Math.log(1 - this.#world.random.unit())) ** (1 / CHURN_SHAPE);
  }

  /** What is left to somebody met at a random moment: the long-lived are met more often. */
  #residualMs(): number {
    const drawn = Array.from({ length: 64 }, () => this.#lengthMs());
    let ticket = this.#world.random.unit() * drawn.reduce((sum, each) => sum + each, 0);
    const length = drawn.find((each) => (ticket -= each) < 0) ?? (drawn[0] as number);
    return this.#world.random.unit() * length;
  }
}

function massacre(world: World, share: number): void {
  const count = Math.floor(world.alive.length * share);
  for (let i = 0; i < count; i++) world.kill(world.pick());
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? 0;
}

function rounded(value: number, digits: number): number {
  const factor = 10 ** digits;
  return Math.round(value * factor) / factor;
}
