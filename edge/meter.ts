/**
 * One object's purse: counts what it costs and spends what the ledger lent it. It speaks to the ledger only while something else keeps the
 * object awake: at its first event, when half the loan is gone, ten seconds after the last time, and when its last socket closes.
 * What is spent between two of those is at most a loan, which the ledger counts as spent if it never hears of it. What one event
 * would spend beyond any loan is bought, each by itself, before it is done.
 */
import { addUsage, isAtLeast, NO_USAGE, type Stage, type Usage, unitsOf } from "../shared/budget.ts";
import type { Env } from "./env.ts";
import type { Grant, Purchase, Sale } from "./ledger-book.ts";

const SETTLE_EVERY_MS = 10_000;
/** The first loan covers a join; each that is used up in time is followed by a larger one. */
const LOAN_UNITS_FIRST = 4;
const LOAN_GROWTH = 4;
/** What an event takes of an object's time, in ms: the clock stands still in a handler, so it is estimated, on the high side. */
const EVENT_AWAKE_MS = 1;
const MESSAGE: Partial<Usage> = { messages: 1, awakeMs: EVENT_AWAKE_MS };
const UPGRADE: Partial<Usage> = { requests: 1, objectRequests: 1, awakeMs: EVENT_AWAKE_MS };

export interface MeterOptions {
  readonly ctx: DurableObjectState;
  readonly env: Env;
  readonly kind: "rendezvous" | "relay" | "peerjs" | "search";
  /** The object's name. */
  readonly name: string;
  /** Sockets and members now, for those who look. */
  present(): { readonly sockets: number; readonly members: number };
  /** The stage has changed. */
  onStage(stage: Stage, leftMs: number): void;
}

export class Meter {
  readonly #options: MeterOptions;
  #spent: Usage = NO_USAGE;
  /** Units of `#spent`; kept up beside it, because every frame asks. */
  #units = 0;
  #loan = 0;
  #wants = LOAN_UNITS_FIRST;
  #settledMs = Number.NEGATIVE_INFINITY;
  #isNew = true;
  #settling: Promise<void> | undefined;
  #stage: Stage = "open";
  #untilMs = 0;

  constructor(options: MeterOptions) {
    this.#options = options;
  }

  /** A stage holds until its day is over. */
  stage(nowMs: number): Stage {
    return nowMs < this.#untilMs ? this.#stage : "open";
  }

  /** ms for which the stage holds. */
  leftMs(nowMs: number): number {
    return Math.max(0, this.#untilMs - nowMs);
  }

  /** A request came through the Worker. */
  upgrade(network: string, nowMs: number): void {
    this.#add(UPGRADE, network, nowMs);
  }

  /** A message came on a socket. */
  message(network: string, nowMs: number, relayedBytes = 0): void {
    this.#add(relayedBytes === 0 ? MESSAGE : { ...MESSAGE, relayedBytes }, network, nowMs);
  }

  /** Anything else: calls, alarms, rows. Each call keeps an object at work. */
  use(usage: Partial<Usage>, network: string, nowMs: number): void {
    this.#add({ awakeMs: EVENT_AWAKE_MS * (usage.objectRequests || 1), ...usage }, network, nowMs);
  }

  /**
   * Pays for what no loan covers, before it is done. An object that has not heard of the stage yet learns of it so.
   * @throws Error when the ledger does not answer: nothing is paid then
   */
  async buy(purchase: Purchase, nowMs: number): Promise<Sale> {
    if (isAtLeast(this.stage(nowMs), purchase.before))
      return { refusal: "edge/over-budget", leftMs: this.leftMs(nowMs) };
    return this.#options.env.LEDGER.getByName("edge").buy(purchase);
  }

  /** The last socket is gone: accounts for everything and gives the rest back. */
  finish(network: string): Promise<void> {
    return this.#units > 0 || this.#loan > 0 ? this.#begin(network, 0) : Promise.resolve();
  }

  /** For the ledger. */
  async settleNow(network: string): Promise<void> {
    await this.#settling;
    await this.#begin(network, this.#loan === 0 ? 0 : this.#wants, true);
  }

  #add(usage: Partial<Usage>, network: string, nowMs: number): void {
    this.#spent = addUsage(this.#spent, usage);
    this.#units = unitsOf(this.#spent);
    if (this.#settling !== undefined || this.stage(nowMs) === "closed") return;
    const isSpent = this.#units * 2 >= this.#loan;
    if (!isSpent && nowMs - this.#settledMs < SETTLE_EVERY_MS) return;
    if (isSpent && this.#loan > 0 && nowMs - this.#settledMs < SETTLE_EVERY_MS) this.#wants *= LOAN_GROWTH;
    else this.#wants = LOAN_UNITS_FIRST;
    void this.#begin(network, this.#wants);
  }

  #begin(network: string, wants: number, isAsked = false): Promise<void> {
    // One after the other: an answer must not overtake a later one.
    const before = this.#settling ?? Promise.resolve();
    const work = before
      .then(() => this.#settle(network, wants, isAsked))
      .finally(() => {
        if (this.#settling === work) this.#settling = undefined;
      });
    this.#settling = work;
    this.#options.ctx.waitUntil(work);
    return work;
  }

  async #settle(network: string, wants: number, isAsked: boolean): Promise<void> {
    const { env, kind, name, present } = this.#options;
    const spent = this.#spent;
    const isNew = this.#isNew;
    this.#spent = NO_USAGE;
    this.#units = 0;
    this.#isNew = false;
    if (!isAsked) this.#settledMs = Date.now();
    try {
      const account = { holder: `${kind}:${name}`, network, isNew, spent, wants, isAsked, ...present() };
      this.#take(await env.LEDGER.getByName("edge").settle(account), wants);
    } catch {
      // Overloaded or restarting: said again with the next event.
      this.#spent = addUsage(this.#spent, spent);
      this.#units = unitsOf(this.#spent);
      this.#isNew ||= isNew;
    }
  }

  #take({ stage, units, leftMs }: Grant, wants: number): void {
    this.#loan = units;
    if (units < wants) this.#wants = Math.max(units, LOAN_UNITS_FIRST);
    const nowMs = Date.now();
    const before = this.stage(nowMs);
    this.#stage = stage;
    this.#untilMs = nowMs + leftMs;
    if (stage !== before) this.#options.onStage(stage, leftMs);
  }
}
