/**
 * Which entries next, from whom. Pure bookkeeping: it knows what is there, what is under way where and what waits for its turn; a
 * range that is given back is asked for again, by preference elsewhere.
 */
import { RANGE_ENTRIES_MAX } from "./range.ts";

/** Ranges asked for are at most so far ahead of what is there; what comes early waits in memory. */
export const AHEAD_ENTRIES_MAX: number = 64 * RANGE_ENTRIES_MAX;

export interface Want {
  readonly writer: number;
  readonly from: number;
  readonly to: number;
}

/** What is to be known of a writer before anything is asked for. */
export interface Offer {
  readonly writer: number;
  /** Entries that are here. */
  readonly here: number;
  /** Entries that the neighbour has and that are wanted. */
  readonly there: number;
}

export class Wants {
  /** By writer; none of them overlap. Sorted. */
  readonly #covered = new Map<number, Want[]>();
  #turn = 0;

  /**
   * What to ask a neighbour for, now marked as covered; writers take turns.
   * @param isNarrow only what is next of a writer: there is enough that came early
   */
  take(offers: readonly Offer[], isNarrow = false): Want | undefined {
    for (let i = 0; i < offers.length; i++) {
      const offer = offers[(this.#turn + i) % offers.length] as Offer;
      const want = this.#gap(offer, isNarrow);
      if (want === undefined) continue;
      this.#turn = (this.#turn + i + 1) % offers.length;
      this.cover(want);
      return want;
    }
    return undefined;
  }

  cover(want: Want): void {
    const covered = this.#covered.get(want.writer) ?? [];
    covered.push(want);
    covered.sort((a, b) => a.from - b.from);
    this.#covered.set(want.writer, covered);
  }

  /** It did not come, or has been stored. */
  release(want: Want): void {
    const covered = this.#covered.get(want.writer) ?? [];
    this.#covered.set(
      want.writer,
      covered.filter((each) => each !== want),
    );
  }

  #gap({ writer, here, there }: Offer, isNarrow: boolean): Want | undefined {
    let from = here;
    let end = there;
    for (const each of this.#covered.get(writer) ?? []) {
      if (each.to <= from) continue;
      if (each.from > from) {
        end = Math.min(end, each.from);
        break;
      }
      from = each.to;
    }
    if (from >= end || from - here >= AHEAD_ENTRIES_MAX || (isNarrow && from > here)) return undefined;
    // Cut at the same places by everybody, so that proofs are short and parts fit.
    const boundary = (Math.floor(from / RANGE_ENTRIES_MAX) + 1) * RANGE_ENTRIES_MAX;
    return { writer, from, to: Math.min(end, boundary) };
  }
}
