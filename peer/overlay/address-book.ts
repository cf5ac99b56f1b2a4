/**
 * Peers that were linked directly, at the address that was dialled or those that they gave in that session, remembered over restarts, so that a network is found again
 * when no edge and nobody named beforehand is there (as Bitcoin's addrman does; what others say of a peer does not enter). Bounded, also for each address
 * prefix, so that one machine's many identities cannot fill it.
 */
import { decode, encode, FieldReader } from "../../shared/codec.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { type PeerId, peerIdFromKey, PUBLIC_KEY_BYTES, publicKeyOf } from "../../shared/ids.ts";
import { ADDRESS_BYTES_MAX, ADDRESSES_MAX } from "../../shared/limits.ts";
import type { Contact } from "../../shared/messages.ts";
import { parseAddress } from "../links/address.ts";
import { addressPrefix } from "./address-prefix.ts";

export const BOOK_ENTRIES_MAX = 256;
/** Of one /24 or /48. */
export const BOOK_PREFIX_MAX = 16;
/** Not seen for so long, a peer is forgotten. */
const FORGET_AFTER_S: number = 30 * 86_400;
/** Counted in a row; a machine that sleeps for a night fails often and is not forgotten for it. */
const FAILURES_MAX = 100;
/** Neighbours of the last run that are dialled first and always, whatever an edge says (Heilman et al., USENIX Security 2015). */
export const ANCHORS = 2;
const VERSION = 1;
const LIMITS = {
  bytesMax: 1_048_576,
  depthMax: 4,
  itemsMax: BOOK_ENTRIES_MAX * (ADDRESSES_MAX + 6) + 8,
  textBytesMax: ADDRESS_BYTES_MAX,
} as const;

export interface KnownPeer extends Contact {
  /** Wall clock, seconds since 1970. */
  readonly seenAtS: number;
  /** Seconds that it has been linked, in this run or the last. */
  readonly linkedS: number;
  readonly failures: number;
}

export class AddressBook {
  readonly #peers = new Map<PeerId, KnownPeer>();
  #changed = false;

  /** From what `encode` made; whatever is wrong with it, the book is empty then. */
  static from(bytes: Uint8Array | undefined, nowS: number): AddressBook {
    const book = new AddressBook();
    if (bytes === undefined) return book;
    try {
      for (const peer of decodeBook(bytes)) {
        if (nowS - peer.seenAtS < FORGET_AFTER_S) book.#peers.set(peer.id, peer);
      }
    } catch (error) {
      if (!(error instanceof PeerloomError)) throw error;
    }
    return book;
  }

  get size(): number {
    return this.#peers.size;
  }

  /** Something is not saved yet. */
  get isChanged(): boolean {
    return this.#changed;
  }

  encode(): Uint8Array {
    this.#changed = false;
    return encode([
      VERSION,
      [...this.#peers.values()].map(({ id, addresses, seenAtS, linkedS, failures }) => [
        publicKeyOf(id),
        addresses,
        seenAtS,
        linkedS,
        failures,
      ]),
    ]);
  }

  /** A peer is linked directly now and can be dialled there. */
  seen({ id, addresses }: Contact, linkedS: number, nowS: number): void {
    const dialable = addresses
      .filter((address) => parseAddress(address) !== undefined)
      .slice(0, ADDRESSES_MAX);
    if (dialable.length === 0) return;
    const isPlaced = this.#peers.get(id)?.addresses[0] === dialable[0];
    this.#peers.delete(id);
    this.#peers.set(id, { id, addresses: dialable, seenAtS: nowS, linkedS, failures: 0 });
    this.#changed = true;
    if (!isPlaced) this.#makeRoom(id, dialable);
  }

  /** It could not be reached. */
  failed(id: PeerId): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    this.#changed = true;
    this.#peers.set(id, { ...peer, failures: Math.min(peer.failures + 1, FAILURES_MAX) });
  }

  /** Those that were linked longest when the book was written. */
  anchors(): KnownPeer[] {
    return [...this.#peers.values()].sort((a, b) => b.linkedS - a.linkedS).slice(0, ANCHORS);
  }

  /** Where a peer listens, as it said last; none of one that is not remembered. */
  addressesOf(id: PeerId): readonly string[] {
    return this.#peers.get(id)?.addresses ?? [];
  }

  /** Some to try, those that failed least first, else at random. */
  candidates(count: number, unit: () => number, isOut: (id: PeerId) => boolean): KnownPeer[] {
    return [...this.#peers.values()]
      .filter(({ id }) => !isOut(id))
      .map((peer) => ({ peer, order: peer.failures + unit() }))
      .sort((a, b) => a.order - b.order)
      .slice(0, count)
      .map(({ peer }) => peer);
  }

  /** The one seen longest ago goes, first among those of the same prefix. */
  #makeRoom(id: PeerId, addresses: readonly string[]): void {
    const prefix = prefixOf(addresses);
    const alike = [...this.#peers.values()].filter((peer) => prefixOf(peer.addresses) === prefix);
    const [oldest] = this.#peers.values();
    if (prefix !== undefined && alike.length > BOOK_PREFIX_MAX && alike[0]?.id !== id)
      this.#peers.delete((alike[0] as KnownPeer).id);
    else if (this.size > BOOK_ENTRIES_MAX && oldest !== undefined) this.#peers.delete(oldest.id);
  }
}

function prefixOf([first]: readonly string[]): string | undefined {
  const address = first === undefined ? undefined : parseAddress(first);
  if (address === undefined) return undefined;
  return addressPrefix(address.scheme === "tcp" ? address.host : new URL(address.url).hostname);
}

function decodeBook(bytes: Uint8Array): KnownPeer[] {
  const fields = new FieldReader(decode(bytes, LIMITS), "address book");
  fields.integer(VERSION, VERSION);
  const peers = fields.list(BOOK_ENTRIES_MAX, (item) => {
    const each = new FieldReader(item, "known peer");
    const id = peerIdFromKey(each.bytes(PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES));
    const addresses = each.list(ADDRESSES_MAX, (address) => (typeof address === "string" ? address : ""));
    const seconds = (): number => each.integer(0, Number.MAX_SAFE_INTEGER);
    return { id, addresses, seenAtS: seconds(), linkedS: seconds(), failures: each.integer(0, FAILURES_MAX) };
  });
  fields.end();
  return peers;
}
