/** What each publisher of a topic may still say: so many messages a second for long and at once, long ones counting for several. */
import type { PeerId } from "../../../shared/ids.ts";
import { Allowance } from "../../overlay/allowance.ts";

/** Publishers whose rate is known; past that the one heard of longest ago begins anew. */
const PUBLISHERS_MAX = 1_024;
/** A message counts once more for each so many bytes. */
const RATE_BYTES = 4_096;
/** Others are allowed this many times what this peer allows itself, since their clocks and ways differ. */
const RATE_TOLERANCE = 2;

export interface RatesOptions {
  /** Messages a second of one publisher, for long, and at once. */
  readonly rate: number;
  readonly burst: number;
}

export class Rates {
  readonly #options: RatesOptions;
  readonly #allowances = new Map<PeerId, Allowance>();

  constructor(options: RatesOptions) {
    this.#options = options;
  }

  /** Whether one more message of the publisher is within its rate. */
  allows(publisher: PeerId, nowMs: number): boolean {
    return this.#of(publisher, nowMs).left(nowMs) >= 1;
  }

  /** A message of so many bytes is the publisher's. */
  spend(publisher: PeerId, bytes: number, nowMs: number): void {
    this.#of(publisher, nowMs).spend(costOf(bytes));
  }

  #of(publisher: PeerId, nowMs: number): Allowance {
    const { rate, burst } = this.#options;
    const known = this.#allowances.get(publisher);
    const allowance = known ?? new Allowance(RATE_TOLERANCE * burst, RATE_TOLERANCE * rate, nowMs);
    this.#allowances.delete(publisher);
    this.#allowances.set(publisher, allowance);
    if (this.#allowances.size > PUBLISHERS_MAX)
      this.#allowances.delete(this.#allowances.keys().next().value as PeerId);
    return allowance;
  }
}

/** What a message counts for in a publisher's rate. */
export function costOf(bytes: number): number {
  return 1 + Math.floor(bytes / RATE_BYTES);
}
