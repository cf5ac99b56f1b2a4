/**
 * One order for the entries of all writers, the same at every peer that has the same entries, however they came: causes stand
 * before effects, and of several entries that could come next the fork choice says which does. Pure bookkeeping: values,
 * states and signatures are matters of others.
 */
import { toHex } from "../../../shared/bytes.ts";
import type { PeerId } from "../../../shared/ids.ts";

/** What a fork choice may look at: it must not need values, which may be on disk. */
export interface FeedHeader {
  readonly writer: PeerId;
  readonly seq: number;
  /** 64 hexadecimal digits. */
  readonly hash: string;
  readonly timeMs: number;
  /** Entries behind it, its own writer's and those it links to, directly or not. */
  readonly weight: number;
}

/**
 * Compares two entries of different writers neither of which knew of the other. Negative: `a` stands before `b`. Must be a total order over
 * all entries, as for `Array.sort`, and the same at all peers; where it says 0 the lower hash stands first.
 */
export type ForkChoice = (a: FeedHeader, b: FeedHeader) => number;

/** Who knew less stands first, as time would have it. */
export const LIGHTER_FIRST: ForkChoice = (a, b) => a.weight - b.weight;

export interface Place {
  /** By its place in the definition. */
  readonly writer: number;
  readonly seq: number;
}

/** For each writer how many entries. Plain numbers: there is one for nearly every entry, and small typed arrays are dear. */
export type Counts = number[];

/** What the order asks of those who keep the entries. */
export interface OrderSource {
  readonly writers: readonly PeerId[];
  hashOf(place: Place): Uint8Array;
  timeMsOf(place: Place): number;
}

export class Order {
  readonly #source: OrderSource;
  readonly #choose: ForkChoice;
  readonly #writers: number[] = [];
  readonly #seqs: number[] = [];
  readonly #counts: Counts;
  /** For each writer: from which entry on what of others is behind its entries. Only where it grows. */
  readonly #behind: { readonly seq: number; readonly counts: Counts }[][];
  /** Of each writer's last entry; -1 before it has one. */
  readonly #lastAt: number[];

  constructor(source: OrderSource, choose: ForkChoice) {
    this.#source = source;
    this.#choose = choose;
    this.#counts = source.writers.map(() => 0);
    this.#behind = source.writers.map(() => []);
    this.#lastAt = source.writers.map(() => -1);
  }

  get length(): number {
    return this.#writers.length;
  }

  /** Entries of each writer in it. */
  get counts(): Counts {
    return this.#counts.slice();
  }

  countOf(writer: number): number {
    return this.#counts[writer] as number;
  }

  at(position: number): Place {
    return { writer: this.#writers[position] as number, seq: this.#seqs[position] as number };
  }

  /** How many entries of each writer are behind this one; it need not be in the order yet, but all behind it must be. */
  behind({ writer, seq }: Place): Counts {
    const steps = this.#behind[writer] ?? [];
    let low = 0;
    let high = steps.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((steps[middle]?.seq ?? 0) <= seq) low = middle + 1;
      else high = middle;
    }
    const counts = steps[low - 1]?.counts.slice() ?? this.#counts.map(() => 0);
    counts[writer] = seq;
    return counts;
  }

  /** What will be behind a writer's next entry, if it links to those. All linked entries must be in the order. */
  behindNext(writer: number, links: readonly { readonly writer: number; readonly length: number }[]): Counts {
    const counts = this.behind({ writer, seq: this.countOf(writer) });
    for (const link of links) {
      if (link.length === 0) continue;
      const theirs = this.behind({ writer: link.writer, seq: link.length - 1 });
      theirs[link.writer] = link.length;
      for (const [i, count] of theirs.entries()) counts[i] = Math.max(counts[i] as number, count);
    }
    // A link may lead back to its own writer, but not past the entry that has it.
    counts[writer] = this.countOf(writer);
    return counts;
  }

  /** Adds a writer's next entry. @returns where it stands now; what was there and behind has moved on by one */
  add(writer: number, behind: Counts): number {
    const place: Place = { writer, seq: this.countOf(writer) };
    const before = this.behind(place);
    if (behind.some((count, i) => count !== before[i])) {
      this.#behind[writer]?.push({ seq: place.seq, counts: behind.slice() });
    }
    const position = this.#find(place, behind);
    this.#writers.splice(position, 0, writer);
    this.#seqs.splice(position, 0, place.seq);
    for (const [i, at] of this.#lastAt.entries()) if (at >= position) this.#lastAt[i] = at + 1;
    this.#lastAt[writer] = position;
    this.#counts[writer] = place.seq + 1;
    return position;
  }

  header(place: Place): FeedHeader {
    return {
      writer: this.#source.writers[place.writer] as PeerId,
      seq: place.seq,
      hash: toHex(this.#source.hashOf(place)),
      timeMs: this.#source.timeMsOf(place),
      weight: this.behind(place).reduce((sum, count) => sum + count, 0),
    };
  }

  /** Whether one of two entries, of which each could come next, does. */
  isBefore(a: FeedHeader, b: FeedHeader): boolean {
    const choice = this.#choose(a, b);
    return choice === 0 ? a.hash < b.hash : choice < 0;
  }

  /**
   * From the place where all behind it is there, the entry goes past those that the fork choice puts before it. What follows needs no second
   * look: at each place stands who was chosen among all that could come, and the newcomer has just lost or won against that one.
   */
  #find(place: Place, behind: Counts): number {
    let position = this.length;
    const least = (this.#lastAt[place.writer] as number) + 1;
    while (position > least) {
      const { writer, seq } = this.at(position - 1);
      if (seq < (behind[writer] as number)) break;
      position -= 1;
    }
    if (position === this.length) return position;
    const own = this.header(place);
    while (position < this.length && !this.isBefore(own, this.header(this.at(position)))) position += 1;
    return position;
  }
}
