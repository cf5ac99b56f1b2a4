/**
 * What this peer shares and lets others find: one listing for each share, with the words it is found by. All ways of searching take it from here,
 * so what is unlisted is in none of them.
 */
import { isListedTicket, LISTINGS_MAX } from "../../../shared/listings.ts";
import { LISTING_WORDS_MAX, wordsOf } from "../../../shared/words.ts";
import type { ListedShare } from "../files/files.ts";

/** Of a folder's entries, so many are looked at for words. */
const ENTRIES_MAX = 256;

export interface Listing {
  /** SHA-256 of the manifest, hex. */
  readonly hash: string;
  readonly name: string;
  readonly bytes: number;
  readonly ticket: string;
  /** The name's first. */
  readonly words: readonly string[];
}

export class Listings {
  readonly #source: () => readonly ListedShare[];
  #all: readonly Listing[] = [];

  /** @param source what is shared and listed now */
  constructor(source: () => readonly ListedShare[]) {
    this.#source = source;
  }

  /** At most `LISTINGS_MAX`, the latest. */
  get all(): readonly Listing[] {
    return this.#all;
  }

  /** Looks again. */
  update(): void {
    const known = new Map(this.#all.map((listing) => [listing.ticket, listing]));
    this.#all = this.#source()
      .filter(({ share }) => isListedTicket(share.ticket))
      .slice(-LISTINGS_MAX)
      .map(({ share, paths }) => known.get(share.ticket) ?? listingOf(share, paths()));
  }

  /** All their different words, of names first. */
  words(): Set<string> {
    const words = new Set<string>();
    for (let index = 0; index < LISTING_WORDS_MAX; index++) {
      for (const listing of this.#all) {
        const word = listing.words[index];
        if (word !== undefined) words.add(word);
      }
    }
    return words;
  }

  /** Those with all of these words. */
  matching(words: readonly string[], countMax: number): Listing[] {
    const matching: Listing[] = [];
    for (const listing of this.#all) {
      if (matching.length >= countMax) break;
      if (words.every((word) => listing.words.includes(word))) matching.push(listing);
    }
    return matching;
  }
}

function listingOf({ hash, name, bytes, ticket }: ListedShare["share"], paths: readonly string[]): Listing {
  const text = [name, ...paths.slice(0, ENTRIES_MAX)].join(" ");
  return { hash, name, bytes, ticket, words: wordsOf(text, LISTING_WORDS_MAX) };
}
