/**
 * One object that keeps the day's account of the whole edge (ledger-book.ts). It is asked by objects that are awake anyhow, and by each Worker
 * isolate at most once in `STAGE_REFRESH_MS`. No alarm: a day begins when somebody asks in it.
 *
 * The account is one row, written at most once in ten seconds unless a thousandth of the day's units came since. An eviction
 * forgets less than that.
 */
import { DurableObject } from "cloudflare:workers";
import { addUsage, dollarsOf, isAtLeast, type Stage, type Usage } from "../shared/budget.ts";
import type { EdgeCost } from "../shared/edge-cost.ts";
import { countOf, type Env } from "./env.ts";
import {
  type Account,
  type Grant,
  LedgerBook,
  type Limits,
  type Purchase,
  type Sale,
  type SavedBook,
} from "./ledger-book.ts";

/** $0.15 a day at list price. */
export const BUDGET_UNITS_DEFAULT = 1_000_000;
const BUDGET_UNITS_MAX = 1_000_000_000_000;
const SAVE_EVERY_MS = 10_000;
const SAVE_SHARE = 0.001;
/** Who was heard of so recently is awake still: workerd puts objects to sleep after ten seconds without an event. */
const AWAKE_MS = 10_000;
/** Awake objects asked on one reading. */
const ASKED_MAX = 64;
/** Networks whose stage a Worker is told, the most expensive first; the others are open, or refused by their object. */
const STAGES_TOLD_MAX = 256;
/** What belongs to no network: this account, files, ICE servers, refreshes. */
export const EDGE_ITSELF = "(edge)";

/** What a Worker isolate did by itself since it last told. */
export interface Told {
  /** Requests answered. */
  readonly served: number;
  /** Calls of objects that have no account of their own for them. */
  readonly calls: number;
  readonly refused: number;
}

/** What a Worker isolate needs to know. */
export interface Stages {
  readonly all: Stage;
  /** Spent and lent today, and the day's limit. */
  readonly units: number;
  readonly limit: number;
  /** Of networks that are further than all are. */
  readonly networks: readonly { readonly network: string; readonly stage: Stage }[];
  readonly leftMs: number;
}

export function limitsOf(env: Env): Limits {
  const total = countOf(env.BUDGET_UNITS, BUDGET_UNITS_DEFAULT, BUDGET_UNITS_MAX);
  return { total, network: countOf(env.BUDGET_NETWORK_UNITS, total, total) };
}

export class EdgeLedger extends DurableObject<Env> {
  readonly #book: LedgerBook;
  readonly #limits: Limits;
  #savedMs = 0;
  #savedTotal = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#limits = limitsOf(env);
    this.#book = new LedgerBook(this.#limits, Date.now(), ctx.storage.kv.get<SavedBook>("book"));
  }

  /** An object accounts for what it spent, and is lent more. */
  settle(account: Account): Grant {
    const nowMs = Date.now();
    this.#book.roll(nowMs);
    this.#book.spend(account.network, usageOf(1));
    const grant = this.#book.settle(account, nowMs);
    this.#saveIfDue(nowMs);
    return grant;
  }

  /** An object would do something that no loan covers. */
  buy(purchase: Purchase): Sale {
    const nowMs = Date.now();
    this.#book.roll(nowMs);
    this.#book.spend(purchase.network, usageOf(1));
    const sale = this.#book.buy(purchase, nowMs);
    this.#saveIfDue(nowMs);
    return sale;
  }

  /** What was used for no network, by an object that has no purse. */
  book(used: Usage): void {
    const nowMs = Date.now();
    this.#book.roll(nowMs);
    this.#book.spend(EDGE_ITSELF, addUsage(used, usageOf(1)));
    this.#saveIfDue(nowMs);
  }

  /** For a Worker isolate. */
  stages({ served, calls, refused }: Told): Stages {
    const nowMs = Date.now();
    this.#book.roll(nowMs);
    this.#book.spend(EDGE_ITSELF, { ...usageOf(1 + calls), requests: served });
    this.#book.addRefused(refused);
    const { stage: all } = this.#book;
    const networks = this.#book
      .networks()
      .map(({ name, units }) => ({ name, units, stage: this.#book.stageOf(name) }))
      .filter(({ stage }) => stage !== all && isAtLeast(stage, all))
      .sort((a, b) => b.units - a.units)
      .slice(0, STAGES_TOLD_MAX);
    this.#saveIfDue(nowMs);
    return {
      all,
      units: this.#book.total,
      limit: this.#limits.total,
      networks: networks.map(({ name, stage }) => ({ network: name, stage })),
      leftMs: this.#book.leftMs(nowMs),
    };
  }

  /** Live: objects that are awake are asked first; nobody is woken to count. */
  async read(): Promise<EdgeCost> {
    const holders = this.#book.holdersSince(Date.now() - AWAKE_MS).slice(-ASKED_MAX);
    await Promise.all(holders.map((holder) => this.#ask(holder)));
    const nowMs = Date.now();
    this.#book.roll(nowMs);
    this.#book.spend(EDGE_ITSELF, { ...usageOf(1 + holders.length), requests: 1 });
    const { total, stage, refused } = this.#book;
    return {
      day: new Date(nowMs).toISOString().slice(0, 10),
      stage,
      units: total,
      limit: this.#limits.total,
      dollars: dollarsOf(total),
      refused,
      leftMs: this.#book.leftMs(nowMs),
      networks: this.#book
        .networks()
        .sort((a, b) => b.units - a.units)
        .map(({ name, units, day }) => ({
          network: name,
          stage: this.#book.stageOf(name),
          units,
          limit: this.#limits.network,
          unaccounted: day.lent + day.unaccounted,
          usage: day.usage,
          ...this.#book.present(name),
        })),
    };
  }

  async #ask(holder: string): Promise<void> {
    const at = holder.indexOf(":");
    const name = holder.slice(at + 1);
    const { RENDEZVOUS, RELAY, PEERJS, SEARCH } = this.env;
    try {
      const kind = holder.slice(0, at);
      if (kind === "rendezvous") await RENDEZVOUS.getByName(name).settleNow();
      else if (kind === "relay") await RELAY.getByName(name).settleNow();
      else if (kind === "peerjs") await PEERJS.getByName(name).settleNow();
      else if (kind === "search") await SEARCH.getByName(name).settleNow();
    } catch {
      // Overloaded or restarting: its loan counts as spent.
    }
  }

  #saveIfDue(nowMs: number): void {
    const isMuch = this.#book.total - this.#savedTotal >= this.#limits.total * SAVE_SHARE;
    if (nowMs - this.#savedMs < SAVE_EVERY_MS && !isMuch) return;
    this.#book.spend(EDGE_ITSELF, { rowsWritten: 1 });
    this.#savedMs = nowMs;
    this.#savedTotal = this.#book.total;
    this.ctx.storage.kv.put("book", this.#book.saved);
  }
}

/** Of calls: each keeps the object that is called at work. */
function usageOf(calls: number): Partial<Usage> {
  return { objectRequests: calls, awakeMs: calls };
}
