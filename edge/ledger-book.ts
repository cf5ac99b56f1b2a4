/**
 * The day's account: what was spent, what is lent to objects, and which stage follows. Pure; ledger.ts keeps it.
 *
 * Objects spend what they were lent before. So what is not known yet is bounded by the loans, and the loans count as spent until they are
 * accounted for: the account errs towards too much, never towards too little.
 */
import {
  addUsage,
  isAtLeast,
  NO_USAGE,
  type Stage,
  STAGE_FROM,
  type Usage,
  unitsOf,
} from "../shared/budget.ts";
import type { ErrorCode } from "../shared/errors.ts";

const DAY_MS = 86_400_000;
/** Left for what nobody borrows for: the account's own rows and calls, and what is on its way. More than 1 % of a small budget. */
const RESERVE_UNITS = 16;
/** The largest loan, as a part of the limit, and the least worth asking for. */
const LOAN_SHARE_MAX = 0.001;
const LOAN_UNITS_MIN = 2;
/** Loans and networks that are told apart. Past that the oldest loan counts as spent, and further networks as one. */
const LOANS_MAX = 4_096;
const NETWORKS_MAX = 1_024;
const OTHER_NETWORKS = "(others)";
/** What the addresses of one prefix may buy in a day, as a part of the limit: at most so much of it falls to one stranger. */
const PREFIX_SHARE = 0.1;
/** Prefixes whose purchases are known; past that the one that bought longest ago may begin again. */
const PREFIXES_MAX = 1_024;

export interface Limits {
  /** Units a day. */
  readonly total: number;
  readonly network: number;
}

/** What an object says of itself. */
export interface Account {
  /** The object, by kind and name. */
  readonly holder: string;
  readonly network: string;
  /** It has just woken, and remembers no loan. */
  readonly isNew: boolean;
  readonly spent: Usage;
  /** Units it asks for; 0 to give back what is left. */
  readonly wants: number;
  /** The ledger asked: that keeps nobody awake, so it does not count as being heard of. */
  readonly isAsked: boolean;
  readonly sockets: number;
  readonly members: number;
}

export interface Grant {
  readonly stage: Stage;
  /** Units that may be spent; 0 when closed. */
  readonly units: number;
  /** ms until the next day begins. */
  readonly leftMs: number;
}

/** What is dearer than any loan, and therefore paid before it is done. */
export interface Purchase {
  readonly network: string;
  readonly usage: Partial<Usage>;
  /** It may not bring the network to this stage. */
  readonly before: Stage;
  /** Of the address that asks for it; undefined where none is known, which is not limited. */
  readonly prefix: string | undefined;
}

export interface Sale {
  /** Undefined: it is paid. `edge/rate-limited`: the prefix has had its share of the day. */
  readonly refusal: Extract<ErrorCode, "edge/over-budget" | "edge/rate-limited"> | undefined;
  /** ms until the next day begins. */
  readonly leftMs: number;
}

interface NetworkDay {
  usage: Usage;
  spent: number;
  lent: number;
  unaccounted: number;
}

interface Loan {
  readonly network: string;
  readonly units: number;
  readonly sockets: number;
  readonly members: number;
  readonly atMs: number;
}

export interface SavedBook {
  readonly day: number;
  readonly networks: readonly (readonly [string, NetworkDay])[];
  readonly refused: number;
  /** By prefix; absent in rows of before. */
  readonly bought?: readonly (readonly [string, number])[];
}

export class LedgerBook {
  readonly #limits: Limits;
  readonly #networks = new Map<string, NetworkDay>();
  readonly #loans = new Map<string, Loan>();
  readonly #bought = new Map<string, number>();
  #day: number;
  #refused = 0;
  #total = 0;

  constructor(limits: Limits, nowMs: number, saved?: SavedBook) {
    this.#limits = limits;
    this.#day = dayOf(nowMs);
    if (saved?.day !== this.#day) return;
    this.#refused = saved.refused;
    for (const [prefix, units] of saved.bought ?? []) this.#bought.set(prefix, units);
    for (const [name, day] of saved.networks) {
      // Loans are not saved one by one: those of before the sleep count as spent.
      const unaccounted = day.unaccounted + day.lent;
      this.#networks.set(name, { ...day, lent: 0, unaccounted });
      this.#total += day.spent + unaccounted;
    }
  }

  get saved(): SavedBook {
    return {
      day: this.#day,
      networks: [...this.#networks],
      refused: this.#refused,
      bought: [...this.#bought],
    };
  }

  get day(): number {
    return this.#day;
  }

  /** Units spent or lent today. */
  get total(): number {
    return this.#total;
  }

  get refused(): number {
    return this.#refused;
  }

  settle(account: Account, nowMs: number): Grant {
    const { holder, network: named, isNew, spent, wants, isAsked, sockets, members } = account;
    this.roll(nowMs);
    const atMs = isAsked ? (this.#loans.get(holder)?.atMs ?? nowMs) : nowMs;
    const network = this.#known(named);
    this.#giveBack(holder, isNew);
    this.spend(network, spent);
    const units = wants === 0 ? 0 : this.#lend(network, wants);
    this.#dayOf(network).lent += units;
    this.#total += units;
    this.#loans.set(holder, { network, units, sockets, members, atMs });
    const oldest = this.#loans.size > LOANS_MAX ? this.#loans.keys().next().value : undefined;
    if (oldest !== undefined) this.#giveBack(oldest, true);
    return { stage: this.stageOf(network), units, leftMs: this.leftMs(nowMs) };
  }

  /** Books what needs no loan. */
  spend(named: string, spent: Partial<Usage>): void {
    const day = this.#dayOf(this.#known(named));
    const units = unitsOf(addUsage(NO_USAGE, spent));
    day.usage = addUsage(day.usage, spent);
    day.spent += units;
    this.#total += units;
  }

  /** Books something dear, or says why not; what is not sold may not be done. */
  buy({ network: named, usage, before, prefix }: Purchase, nowMs: number): Sale {
    this.roll(nowMs);
    const network = this.#known(named);
    const units = unitsOf(addUsage(NO_USAGE, usage));
    const leftMs = this.leftMs(nowMs);
    if (isAtLeast(this.#stageWith(network, units), before)) return { refusal: "edge/over-budget", leftMs };
    if (prefix !== undefined) {
      const bought = (this.#bought.get(prefix) ?? 0) + units;
      const share = Math.min(this.#limits.total, this.#limits.network) * PREFIX_SHARE;
      if (bought > share) return { refusal: "edge/rate-limited", leftMs };
      this.#bought.delete(prefix);
      this.#bought.set(prefix, bought);
      if (this.#bought.size > PREFIXES_MAX) this.#bought.delete(this.#bought.keys().next().value ?? "");
    }
    this.spend(network, usage);
    return { refusal: undefined, leftMs };
  }

  addRefused(count: number): void {
    this.#refused += count;
  }

  stageOf(network: string): Stage {
    return this.#stageWith(network, 0);
  }

  /** The stage that holds for every network. */
  get stage(): Stage {
    return stageAt(this.#total, this.#limits.total);
  }

  networks(): { readonly name: string; readonly units: number; readonly day: Readonly<NetworkDay> }[] {
    return [...this.#networks].map(([name, day]) => ({
      name,
      units: day.spent + day.lent + day.unaccounted,
      day,
    }));
  }

  /** Sockets and members of the loans' holders. */
  present(network: string): { readonly sockets: number; readonly members: number } {
    let sockets = 0;
    let members = 0;
    for (const loan of this.#loans.values()) {
      if (loan.network !== network) continue;
      sockets += loan.sockets;
      members += loan.members;
    }
    return { sockets, members };
  }

  /** Who was heard of since then. */
  holdersSince(sinceMs: number): string[] {
    return [...this.#loans].filter(([, { atMs }]) => atMs >= sinceMs).map(([holder]) => holder);
  }

  leftMs(nowMs: number): number {
    return (dayOf(nowMs) + 1) * DAY_MS - nowMs;
  }

  /** A new day begins with nothing spent; loans of the old one are forgotten with it. */
  roll(nowMs: number): void {
    if (dayOf(nowMs) === this.#day) return;
    this.#day = dayOf(nowMs);
    this.#networks.clear();
    this.#loans.clear();
    this.#bought.clear();
    this.#refused = 0;
    this.#total = 0;
  }

  /** @param units spent beside what is known */
  #stageWith(network: string, units: number): Stage {
    const day = this.#networks.get(network);
    const used = day === undefined ? 0 : day.spent + day.lent + day.unaccounted;
    const { total, network: ofNetwork } = this.#limits;
    return furthest(stageAt(this.#total + units, total), stageAt(used + units, ofNetwork));
  }

  /** @param isLost it cannot account for the loan any more */
  #giveBack(holder: string, isLost: boolean): void {
    const loan = this.#loans.get(holder);
    if (loan === undefined) return;
    this.#loans.delete(holder);
    const day = this.#dayOf(loan.network);
    day.lent -= loan.units;
    if (isLost) day.unaccounted += loan.units;
    else this.#total -= loan.units;
  }

  #lend(network: string, wants: number): number {
    const { spent, lent, unaccounted } = this.#dayOf(network);
    const { total, network: ofNetwork } = this.#limits;
    const left = Math.min(total - this.#total, ofNetwork - spent - lent - unaccounted);
    const most = Math.max(LOAN_UNITS_MIN, Math.min(total, ofNetwork) * LOAN_SHARE_MAX);
    return this.stageOf(network) === "closed" ? 0 : Math.max(0, Math.min(wants, most, left));
  }

  #known(network: string): string {
    return this.#networks.has(network) || this.#networks.size < NETWORKS_MAX ? network : OTHER_NETWORKS;
  }

  #dayOf(network: string): NetworkDay {
    let day = this.#networks.get(network);
    if (day === undefined) {
      day = { usage: NO_USAGE, spent: 0, lent: 0, unaccounted: 0 };
      this.#networks.set(network, day);
    }
    return day;
  }
}

function stageAt(used: number, limit: number): Stage {
  if (limit - used < RESERVE_UNITS) return "closed";
  return STAGE_FROM.find(([, from]) => used / limit >= from)?.[0] ?? "open";
}

function furthest(a: Stage, b: Stage): Stage {
  return isAtLeast(a, b) ? a : b;
}

function dayOf(nowMs: number): number {
  return Math.floor(nowMs / DAY_MS);
}
