/**
 * What is true of one task, by the answers of different workers: bytes that `agree` of them gave. While fewer than `agree` workers
 * lie, nothing else can be accepted, and of any 2 x `agree` - 1 answers `agree` are the same. Pure. After BOINC's quorum
 * validation; its price is the copies.
 */
import { equalBytes } from "../../../shared/bytes.ts";
import { isDecided, type Outcome } from "./outcome.ts";

/** One worker's word that a task fails may be that worker's own trouble. */
const FAILURES_MIN = 2;

export type Verdict<W> =
  | { readonly kind: "open" }
  | {
      readonly kind: "agreed";
      readonly outcome: Outcome;
      readonly by: readonly W[];
      /** Those who said something else, and could not have by mistake. */
      readonly wrong: readonly W[];
    }
  /** So many differ that no answer can be told from a lie: too many liars, or a module that does not give the same twice. */
  | { readonly kind: "split" };

interface Vote<W> {
  readonly worker: W;
  readonly outcome: Outcome;
}

export class Agreement<W> {
  readonly #agree: number;
  #votes: Vote<W>[] = [];

  /** @param agree workers that must say the same, 1 or more */
  constructor(agree: number) {
    this.#agree = agree;
  }

  get votes(): number {
    return this.#votes.length;
  }

  has(worker: W): boolean {
    return this.#votes.some((vote) => vote.worker === worker);
  }

  /** A worker's first answer; a second one of the same changes nothing. */
  vote(worker: W, outcome: Outcome): Verdict<W> {
    if (!this.has(worker)) this.#votes.push({ worker, outcome });
    return this.#verdict(Math.max(this.#agree, FAILURES_MIN));
  }

  /** The verdict when nobody else is there to be asked: a failure needs no more votes than a value. */
  exhausted(): Verdict<W> {
    return this.#verdict(this.#agree);
  }

  /** The worker is found to lie elsewhere: its answer counts no more. */
  discount(worker: W): void {
    this.#votes = this.#votes.filter((vote) => vote.worker !== worker);
  }

  /** How many more must say what most have said. */
  get missing(): number {
    const best = Math.max(0, ...this.#groups().map((group) => (isValue(group) ? group.length : 0)));
    return this.#agree - best;
  }

  #verdict(failuresNeeded: number): Verdict<W> {
    for (const group of this.#groups()) {
      const [first] = group;
      if (first === undefined || group.length < (isValue(group) ? this.#agree : failuresNeeded)) continue;
      // Where somebody could do it, others may still.
      if (!isDecided(first.outcome) && this.#votes.some(({ outcome }) => outcome.kind === "value")) continue;
      const wrong = this.#votes.filter(
        ({ outcome }) => isDecided(outcome) && !isSame(outcome, first.outcome),
      );
      return {
        kind: "agreed",
        outcome: first.outcome,
        by: group.map(({ worker }) => worker),
        wrong: isDecided(first.outcome) ? wrong.map(({ worker }) => worker) : [],
      };
    }
    const decided = this.#votes.filter(({ outcome }) => isDecided(outcome)).length;
    return decided >= 2 * Math.max(this.#agree, FAILURES_MIN) - 1 ? { kind: "split" } : { kind: "open" };
  }

  /** Votes that say the same, in the order they came. */
  #groups(): readonly (readonly Vote<W>[])[] {
    const groups: Vote<W>[][] = [];
    for (const vote of this.#votes) {
      const group = groups.find(([first]) => first !== undefined && isSame(first.outcome, vote.outcome));
      if (group === undefined) groups.push([vote]);
      else group.push(vote);
    }
    return groups;
  }
}

function isValue<W>([first]: readonly Vote<W>[]): boolean {
  return first?.outcome.kind === "value";
}

function isSame(a: Outcome, b: Outcome): boolean {
  if (a.kind === "value" && b.kind === "value") return equalBytes(a.value, b.value);
  return a.kind === "failure" && b.kind === "failure" && a.code === b.code;
}
