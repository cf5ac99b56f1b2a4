/**
 * Adds up what the other objects report, for `/metrics`. Reading it asks only objects that reported moments ago and are therefore
 * awake; a sleeping one has nothing to add. Totals are saved at most every ten seconds, in one row, so that their cost has a bound
 * ($0.26 a month) however busy the edge is.
 */
import { DurableObject } from "cloudflare:workers";
import { addUsage, NO_USAGE, type Usage } from "../shared/budget.ts";
import type { Env } from "./env.ts";
import { type Counts, type Report, REPORT_EVERY_MS, type ReporterName, type Totals } from "./metrics.ts";

const SAVE_EVERY_MS = 10_000;
/** Objects whose sockets are known; past that the one heard of longest ago is forgotten. */
const REPORTERS_MAX = 4_096;
/** Awake objects asked on one reading: each is a request within the Worker's limit of simultaneous ones. */
const ASKED_MAX = 64;
/** Readers within this time get the same answer. */
const READ_CACHE_MS = 1_000;

interface Reporter {
  readonly from: ReporterName;
  readonly sockets: number;
  readonly members: number;
  readonly atMs: number;
}

interface Saved {
  readonly counts: Counts;
  readonly reporters: readonly Reporter[];
}

export class EdgeTally extends DurableObject<Env> {
  readonly #counts: Record<string, number>;
  readonly #reporters = new Map<string, Reporter>();
  #savedMs = 0;
  /** Told to the ledger at each saving. */
  #used: Usage = NO_USAGE;
  #read: { readonly totals: Promise<Totals>; readonly atMs: number } | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const saved = ctx.storage.kv.get<Saved>("tally") ?? { counts: {}, reporters: [] };
    this.#counts = { ...saved.counts };
    for (const reporter of saved.reporters) this.#reporters.set(keyOf(reporter.from), reporter);
  }

  report(from: ReporterName, report: Report): void {
    const nowMs = Date.now();
    this.#add(from, report, nowMs);
    this.#saveIfDue(nowMs);
  }

  /** For `/health`: whether storage answers. */
  isWell(): boolean {
    this.#use({ objectRequests: 1 });
    this.ctx.storage.kv.get("tally");
    return true;
  }

  read(): Promise<Totals> {
    const nowMs = Date.now();
    this.#use({ requests: 1, objectRequests: 1 });
    if (this.#read === undefined || nowMs - this.#read.atMs >= READ_CACHE_MS) {
      this.#read = { totals: this.#readNow(nowMs), atMs: nowMs };
    }
    return this.#read.totals;
  }

  async #readNow(nowMs: number): Promise<Totals> {
    const awake = [...this.#reporters.values()]
      .filter(({ atMs }) => nowMs - atMs < REPORT_EVERY_MS)
      .slice(-ASKED_MAX);
    this.#use({ objectRequests: awake.length });
    await Promise.all(awake.map((reporter) => this.#ask(reporter)));
    this.#saveIfDue(nowMs);
    const sockets = { rendezvous: 0, relay: 0, peerjs: 0 };
    let members = 0;
    for (const reporter of this.#reporters.values()) {
      if (reporter.from.kind !== "search") sockets[reporter.from.kind] += reporter.sockets;
      members += reporter.members;
    }
    return { counts: { ...this.#counts }, sockets, members };
  }

  async #ask({ from, atMs }: Reporter): Promise<void> {
    try {
      const { RENDEZVOUS, RELAY, PEERJS, SEARCH } = this.env;
      const namespace = { rendezvous: RENDEZVOUS, relay: RELAY, peerjs: PEERJS, search: SEARCH }[from.kind];
      const report = await namespace.getByName(from.name).drainCounters();
      // Being asked is no sign of being awake anyhow: the next reader would ask again, for ever. It may have reported by itself meanwhile.
      this.#add(from, report, this.#reporters.get(keyOf(from))?.atMs ?? atMs);
    } catch {
      // Overloaded or restarting: it reports by itself later.
    }
  }

  #add(from: ReporterName, { counts, sockets, members }: Report, atMs: number): void {
    addCounts(this.#counts, counts);
    const key = keyOf(from);
    this.#reporters.delete(key);
    // An index has no sockets, and a room where messages wait may have none: they are asked while they are awake, and forgotten with the oldest.
    if (sockets > 0 || from.kind === "search" || from.kind === "peerjs")
      this.#reporters.set(key, { from, sockets, members, atMs });
    if (this.#reporters.size > REPORTERS_MAX)
      this.#reporters.delete(this.#reporters.keys().next().value ?? "");
  }

  #saveIfDue(nowMs: number): void {
    if (nowMs - this.#savedMs < SAVE_EVERY_MS) return;
    this.#savedMs = nowMs;
    const saved: Saved = { counts: this.#counts, reporters: [...this.#reporters.values()] };
    this.ctx.storage.kv.put("tally", saved);
    this.#use({ rowsWritten: 1 });
    this.ctx.waitUntil(this.#account());
  }

  /** Reports are on the account of who sends them. */
  #use(usage: Partial<Usage>): void {
    this.#used = addUsage(this.#used, { awakeMs: usage.objectRequests || 1, ...usage });
  }

  async #account(): Promise<void> {
    const used = this.#used;
    this.#used = NO_USAGE;
    try {
      await this.env.LEDGER.getByName("edge").book(used);
    } catch {
      this.#used = addUsage(this.#used, used);
    }
  }
}

function addCounts(into: Record<string, number>, counts: Counts): void {
  for (const [name, count] of Object.entries(counts)) into[name] = (into[name] ?? 0) + count;
}

function keyOf({ kind, name }: ReporterName): string {
  return `${kind}/${name}`;
}
