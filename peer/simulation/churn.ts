/** Peers that come, stay for a while and die without a word. */
import { Findable, type FindableFigures } from "./findable.ts";
import { quantile, rounded } from "./statistics.ts";
import type { SimPeer, World } from "./world.ts";

/** Shape of the session lengths: many short, few very long (Weibull; Stutzbach and Rejaie, IMC 2006). */
const CHURN_SHAPE = 0.5;

export interface JoinFigures {
  readonly count: number;
  /** Until it has links enough to find everybody. */
  readonly msP50: number;
  readonly msP95: number;
  readonly edgeMessages: number;
  /** Until it is found by everybody. */
  readonly findable: FindableFigures;
}

/** Newcomers that are looked for. */
const FINDABLE_MAX = 200;

/** How long newcomers take. */
export class Joins {
  readonly #world: World;
  readonly #started: SimPeer[] = [];
  readonly #findable: Findable;
  #isLooking = false;

  constructor(world: World) {
    this.#world = world;
    this.#findable = new Findable(world, FINDABLE_MAX);
  }

  join(): SimPeer {
    const peer = this.#world.join();
    this.#started.push(peer);
    if (this.#isLooking) this.#findable.watch(peer);
    return peer;
  }

  /** Those who come from now on are looked for by others, which costs the network something. */
  lookForNewcomers(): void {
    this.#isLooking = true;
  }

  result(): JoinFigures {
    const done = this.#started.filter(({ readyAtMs }) => readyAtMs !== undefined);
    const ms = done.map(({ readyAtMs, bornAtMs }) => (readyAtMs as number) - bornAtMs).sort((a, b) => a - b);
    const edge = done.reduce((sum, { edgeMessages }) => sum + edgeMessages, 0);
    return {
      count: done.length,
      msP50: rounded(quantile(ms, 0.5), 0),
      msP95: rounded(quantile(ms, 0.95), 0),
      edgeMessages: rounded(edge / Math.max(done.length, 1), 1),
      findable: this.#findable.result(),
    };
  }
}

/** Peers come and go, as many as there were. */
export class Churn {
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

/** A share of all dies at one instant. */
export function massacre(world: World, share: number): void {
  const count = Math.floor(world.alive.length * share);
  for (let i = 0; i < count; i++) world.kill(world.pick());
}
