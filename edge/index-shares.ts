/**
 * Who has how much of an index, by address prefix: ids are free, prefixes are not. Where it is full the prefix that has most makes room for one
 * that would still have less, so that nobody who fills it keeps others out.
 */

/** An announcement, and what it takes the place of. */
export interface Claim {
  /** "" where no address is known. */
  readonly prefix: string;
  readonly listings: number;
  /** What the member has listed so far. */
  readonly replaced: { readonly prefix: string; readonly listings: number } | undefined;
}

export class IndexShares {
  readonly #max: number;
  readonly #byPrefix = new Map<string, number>();
  #total = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** @param listings below 0 when they are gone */
  add(prefix: string, listings: number): void {
    const count = (this.#byPrefix.get(prefix) ?? 0) + listings;
    this.#total += listings;
    if (count > 0) this.#byPrefix.set(prefix, count);
    else this.#byPrefix.delete(prefix);
  }

  /** Listings that would be too many. */
  excess({ listings, replaced }: Claim): number {
    return Math.max(0, this.#total - (replaced?.listings ?? 0) + listings - this.#max);
  }

  /** The prefix that makes room for so much, and still has as much as the claim's own then. Undefined: nobody need. */
  whoMakesRoom(claim: Claim): string | undefined {
    const { prefix, listings, replaced } = claim;
    const before = replaced?.prefix === prefix ? replaced.listings : 0;
    const own = (this.#byPrefix.get(prefix) ?? 0) - before + listings;
    const [largest, count] = [...this.#byPrefix].reduce((a, b) => (b[1] > a[1] ? b : a), ["", 0]);
    return largest !== prefix && count - this.excess(claim) >= own ? largest : undefined;
  }
}
