/** Listings for an index, each of a content of its own. */
import type { AnnouncedListing } from "../../shared/listings.ts";

let listed = 0;

export function listing(name: string, some: Partial<AnnouncedListing> = {}): AnnouncedListing {
  listed += 1;
  const hash = new Uint8Array(32);
  new DataView(hash.buffer).setUint32(0, listed);
  return { hash, name, bytes: 10, words: "", ticket: `peerloom:get/ticket-${listed}`, ...some };
}
