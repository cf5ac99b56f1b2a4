/**
 * Search by bounded flood (unstructured, as Gnutella): this peer as one that asks its neighbours, and as one that is asked, answers from its own
 * listings and passes the question on. `flood-step.ts` decides where to; here are the bounds in time: what has been seen, until
 * when is waited, and what each neighbour may cause. Free of promises and sessions, so that the simulator runs it.
 */
import { toHex } from "../../../shared/bytes.ts";
import { Allowance } from "../../overlay/allowance.ts";
import type { Clock, Random } from "../../runtime.ts";
import {
  beginFlood,
  type FloodEffect,
  type FloodEvent,
  type FloodNeighbour,
  type FloodState,
  type FloodStep,
  stepFlood,
} from "./flood-step.ts";
import { BUDGET_MAX, hitsOfOne, type Query, QUERY_ID_BYTES, TTL_MAX } from "./protocol.ts";

/** A first wave this wide, and only if it finds nothing a second one with the rest. */
const FIRST_BUDGET: number = BUDGET_MAX / 4;
/** A wave ends by then, though one that was asked be silent: eight steps there and back of 250 ms. */
const WAVE_MS = 4_000;
/** What each step keeps of the time, so that whoever was asked answers before its asker stops waiting. */
const STEP_MS = 250;
/** Questions that are known when they come again; past that the oldest is forgotten. */
const SEEN_MAX = 4_096;
/** Peers that one neighbour may have this one touch: at once, and a second. A whole question every four seconds, and sixteen at once. */
const TOUCHES_BURST: number = 16 * BUDGET_MAX;
const TOUCHES_PER_SECOND: number = BUDGET_MAX / 4;
/** Questions of one neighbour, wherever they end: at once, and a second. */
const QUERIES_BURST = 100;
const QUERIES_PER_SECOND = 10;
/** Neighbours whose allowance is known; past that the one heard of longest ago begins anew. */
const ALLOWANCES_MAX = 512;
/** Questions under way at once; past that a further one is answered from here alone. */
const RUNNING_MAX = 256;

/** What becomes of a question: any number of hits, then one end. */
export interface Reply {
  hits(tickets: readonly string[]): void;
  end(touched: number): void;
}

export interface FloodOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Those linked to this peer now. */
  neighbours(words: readonly string[]): readonly FloodNeighbour[];
  /** Tickets of this peer's own listings. */
  own(words: readonly string[], countMax: number): readonly string[];
  /** Whether a hit is one: what is none does not count, or liars would fill the limit with it. */
  isSound(ticket: string): boolean;
  /** Asks one neighbour; replies come later, never during the call. @returns gives up */
  ask(neighbour: string, query: Query, reply: Reply): () => void;
}

interface Running {
  readonly query: Query;
  readonly deadlineMs: number;
  readonly reply: Reply;
  readonly asked: Map<string, () => void>;
  /** Hits of one neighbour. */
  readonly hitsMax: number;
  readonly known: Set<string>;
  readonly stopTimer: () => void;
  state: FloodState;
}

interface Allowances {
  readonly queries: Allowance;
  readonly touches: Allowance;
}

export class Flood {
  readonly #options: FloodOptions;
  readonly #seen = new Set<string>();
  readonly #running = new Set<Running>();
  readonly #allowances = new Map<string, Allowances>();

  constructor(options: FloodOptions) {
    this.#options = options;
  }

  /**
   * Asks the network, this peer's own listings left out. Ends when there is enough, nobody is left, or time is over.
   * @returns gives up; nothing is replied then
   */
  search(question: Pick<Query, "words" | "limit" | "timeMs">, reply: Reply): () => void {
    const { clock, random } = this.#options;
    const deadlineMs = clock.monotonicMs() + question.timeMs;
    let found = 0;
    let stop = (): void => {};
    const wave = (budget: number, then: (touched: number) => void): void => {
      const timeMs = Math.min(deadlineMs - clock.monotonicMs(), WAVE_MS);
      const query: Query = { ...question, id: random.bytes(QUERY_ID_BYTES), ttl: TTL_MAX, budget, timeMs };
      this.#isSeen(query);
      const within: Reply = {
        hits: (tickets) => {
          found += tickets.length;
          reply.hits(tickets);
        },
        end: then,
      };
      stop = this.#run(query, undefined, 0, within);
    };
    // This peer is part of each wave's budget, and not touched.
    wave(FIRST_BUDGET + 1, (first) => {
      if (found > 0 || deadlineMs - clock.monotonicMs() <= STEP_MS) reply.end(first - 1);
      else wave(BUDGET_MAX - FIRST_BUDGET + 1, (second) => reply.end(first + second - 2));
    });
    return () => stop();
  }

  /**
   * Somebody asks. A neighbour's question goes on from here; that of anybody else is answered from here alone.
   * @returns gives up; nothing is replied then
   */
  serve(from: string, isNeighbour: boolean, query: Query, reply: Reply): () => void {
    const { clock, own } = this.#options;
    const nowMs = clock.monotonicMs();
    const { queries, touches } = this.#allowancesOf(from, nowMs);
    if (this.#isSeen(query) || !queries.take(nowMs)) {
      reply.end(0);
      return () => {};
    }
    const tickets = own(query.words, query.limit);
    if (tickets.length > 0) reply.hits(tickets);
    const budget = Math.min(query.budget, Math.floor(touches.left(nowMs)) + 1);
    if (!isNeighbour || budget < 2 || this.#running.size >= RUNNING_MAX) {
      reply.end(1);
      return () => {};
    }
    for (let i = 1; i < budget; i++) touches.spend();
    return this.#run({ ...query, budget }, from, tickets.length, reply);
  }

  close(): void {
    for (const running of this.#running) this.#end(running);
  }

  #run(query: Query, from: string | undefined, found: number, reply: Reply): () => void {
    const { clock, neighbours } = this.#options;
    const others = neighbours(query.words).filter(({ id }) => id !== from);
    const begun = beginFlood(this.#shuffled(others), query, query.limit - found);
    const timer = clock.setTimer(query.timeMs, () => this.#happened(running, { kind: "stopped" }));
    const running: Running = {
      query,
      deadlineMs: clock.monotonicMs() + query.timeMs,
      reply,
      asked: new Map(),
      hitsMax: hitsOfOne(query.limit, others.length),
      known: new Set(),
      stopTimer: () => timer.cancel(),
      state: begun.state,
    };
    this.#running.add(running);
    this.#perform(running, begun);
    return () => this.#end(running);
  }

  #happened(running: Running, event: FloodEvent): void {
    if (this.#running.has(running)) this.#perform(running, stepFlood(running.state, event));
  }

  #perform(running: Running, { state, effects }: FloodStep): void {
    running.state = state;
    for (const effect of effects) this.#act(running, effect);
  }

  #act(running: Running, effect: FloodEffect): void {
    switch (effect.kind) {
      case "ask":
        this.#ask(running, effect);
        return;
      case "drop":
        running.asked.get(effect.id)?.();
        running.asked.delete(effect.id);
        return;
      case "end":
        this.#end(running);
        running.reply.end(effect.touched);
    }
  }

  #ask(running: Running, { id, ttl, budget }: Extract<FloodEffect, { kind: "ask" }>): void {
    const { clock, ask } = this.#options;
    const { query, state, deadlineMs, hitsMax } = running;
    const timeMs = deadlineMs - clock.monotonicMs() - STEP_MS;
    if (timeMs < STEP_MS) {
      clock.defer(() => this.#happened(running, { kind: "ended", id, touched: 0 }));
      return;
    }
    const stop = ask(
      id,
      { ...query, ttl, budget, timeMs, limit: Math.min(state.wanted, hitsMax) },
      {
        hits: (tickets) => this.#found(running, tickets),
        end: (touched) => {
          running.asked.delete(id);
          this.#happened(running, { kind: "ended", id, touched });
        },
      },
    );
    running.asked.set(id, stop);
  }

  #found(running: Running, tickets: readonly string[]): void {
    if (!this.#running.has(running)) return;
    const { known, reply, state } = running;
    const sound = tickets.filter((ticket) => !known.has(ticket) && this.#options.isSound(ticket));
    const wanted = [...new Set(sound)].slice(0, state.wanted);
    if (wanted.length === 0) return;
    for (const ticket of wanted) known.add(ticket);
    reply.hits(wanted);
    this.#happened(running, { kind: "found", count: wanted.length });
  }

  #end(running: Running): void {
    this.#running.delete(running);
    running.stopTimer();
    for (const stop of running.asked.values()) stop();
    running.asked.clear();
  }

  #isSeen({ id }: Query): boolean {
    const key = toHex(id);
    if (this.#seen.has(key)) return true;
    this.#seen.add(key);
    if (this.#seen.size > SEEN_MAX) this.#seen.delete(this.#seen.keys().next().value as string);
    return false;
  }

  #allowancesOf(from: string, nowMs: number): Allowances {
    const known = this.#allowances.get(from) ?? {
      queries: new Allowance(QUERIES_BURST, QUERIES_PER_SECOND, nowMs),
      touches: new Allowance(TOUCHES_BURST, TOUCHES_PER_SECOND, nowMs),
    };
    this.#allowances.delete(from);
    this.#allowances.set(from, known);
    if (this.#allowances.size > ALLOWANCES_MAX)
      this.#allowances.delete(this.#allowances.keys().next().value as string);
    return known;
  }

  /** Fisher and Yates. */
  #shuffled(neighbours: readonly FloodNeighbour[]): FloodNeighbour[] {
    const shuffled = [...neighbours];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = Math.floor(this.#options.random.unit() * (i + 1));
      [shuffled[i], shuffled[j]] = [shuffled[j] as FloodNeighbour, shuffled[i] as FloodNeighbour];
    }
    return shuffled;
  }
}
