/**
 * What a peer tells its edge's search index: everything it shares that others may find, signed, over HTTP. One announcement replaces the one
 * before, an empty one withdraws. A signature instead of the rendezvous socket: a peer that the overlay carries has no socket,
 * and coming back for one would cost the edge a join. The bytes are laid down in WIRE.md.
 */
import { concatBytes, utf8 } from "./bytes.ts";
import { decode, encode, FieldReader } from "./codec.ts";
import { type NetworkName, type PeerId, peerIdFromKey, PUBLIC_KEY_BYTES, publicKeyOf } from "./ids.ts";
import { LISTING_WORDS_MAX, WORD_CHARACTERS_MAX } from "./words.ts";

/** Listings of one peer. */
export const LISTINGS_MAX = 128;
/** A whole announcement, with its signature. A peer with longer names announces fewer. */
export const ANNOUNCEMENT_BYTES_MAX = 131_072;
/** An announcement is forgotten after this, and said again at half time. */
export const LISTING_TTL_MS = 3_600_000;
/** Hits of one answer, and its bytes. */
export const HITS_MAX = 50;
export const HITS_BYTES_MAX = 32_768;
/** The same content of several peers is one hit with so many of their tickets at most. */
export const HIT_TICKETS_MAX = 4;
/** A ticket among listings and hits: one provider, eight addresses, a name of 255 bytes. */
export const LISTED_TICKET_CHARACTERS_MAX = 2_304;
/** UTF-16 units of a question. */
export const QUERY_CHARACTERS_MAX = 512;

const NAME_CHARACTERS_MAX = 255;
const HASH_BYTES = 32;
const SIGNATURE_BYTES = 64;
const VERSION = 1;
const DOMAIN = "peerloom/listings/1";
const TICKET = /^peerloom:get\/[A-Za-z0-9_-]+$/;
const SIGNED_LIMITS = { bytesMax: ANNOUNCEMENT_BYTES_MAX, depthMax: 1, itemsMax: 4 } as const;
const LIMITS = {
  bytesMax: ANNOUNCEMENT_BYTES_MAX,
  depthMax: 3,
  itemsMax: 6 * LISTINGS_MAX + 8,
  textBytesMax: 4 * LISTING_WORDS_MAX * (WORD_CHARACTERS_MAX + 1),
} as const;

export interface AnnouncedListing {
  /** SHA-256 of the manifest: what the ticket fetches. */
  readonly hash: Uint8Array;
  readonly name: string;
  readonly bytes: number;
  /** With spaces between. */
  readonly words: string;
  /** Opaque to the edge. */
  readonly ticket: string;
}

export interface Announcement {
  readonly id: PeerId;
  /** Of the peer's own clock, and higher than that of its announcement before. */
  readonly timeMs: number;
  readonly listings: readonly AnnouncedListing[];
}

export interface SignedAnnouncement {
  readonly announcement: Announcement;
  /** What was signed, and what it says. */
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
}

/** One answer of `GET /v1/net/:network/search?q=`, as JSON. */
export interface IndexAnswer {
  readonly hits: readonly IndexHit[];
}

export interface IndexHit {
  readonly name: string;
  readonly bytes: number;
  /** Hexadecimal. */
  readonly hash: string;
  /** Of the peer that announced it last. */
  readonly ticket: string;
  /** Of others that have the same. */
  readonly moreTickets: readonly string[];
  /** Peers that have it. */
  readonly sources: number;
}

/** The body of an announcement: what is signed. */
export function encodeAnnouncement({ id, timeMs, listings }: Announcement): Uint8Array {
  return encode([VERSION, publicKeyOf(id), timeMs, listings.map(listingFields)]);
}

/** The listings alone: the same bytes say the same. */
export function encodeListings(listings: readonly AnnouncedListing[]): Uint8Array {
  return encode(listings.map(listingFields));
}

/** What a peer signs: bound to the edge and the network, so that no other edge can say it again. */
export function announcementClaim(origin: string, network: NetworkName, body: Uint8Array): Uint8Array {
  return concatBytes(utf8(`${DOMAIN}\n${origin}\n${network}\n`), body);
}

export function encodeSignedAnnouncement(body: Uint8Array, signature: Uint8Array): Uint8Array {
  return encode([body, signature]);
}

/** Well formed, not yet believed. @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeSignedAnnouncement(bytes: Uint8Array): SignedAnnouncement {
  const outer = new FieldReader(decode(bytes, SIGNED_LIMITS), "signed announcement");
  const body = outer.bytes(1, ANNOUNCEMENT_BYTES_MAX);
  const signature = outer.bytes(SIGNATURE_BYTES, SIGNATURE_BYTES);
  outer.end();
  const fields = new FieldReader(decode(body, LIMITS), "announcement");
  fields.integer(VERSION, VERSION);
  const id = peerIdFromKey(fields.bytes(PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES));
  const timeMs = fields.integer(0, Number.MAX_SAFE_INTEGER);
  const listings = fields.list(LISTINGS_MAX, readListing);
  fields.end();
  return { announcement: { id, timeMs, listings }, body, signature };
}

/** A ticket as the index takes it: its form and length; only a peer can read it. */
export function isListedTicket(text: string): boolean {
  return text.length <= LISTED_TICKET_CHARACTERS_MAX && TICKET.test(text);
}

function listingFields({ hash, name, bytes, words, ticket }: AnnouncedListing): unknown[] {
  return [hash, name, bytes, words, ticket];
}

function readListing(item: unknown): AnnouncedListing {
  const fields = new FieldReader(item, "listing");
  const listing = {
    hash: fields.bytes(HASH_BYTES, HASH_BYTES),
    name: fields.text(NAME_CHARACTERS_MAX),
    bytes: fields.integer(0, Number.MAX_SAFE_INTEGER),
    words: fields.text(LIMITS.textBytesMax),
    ticket: fields.parsed((text) => (isListedTicket(text) ? text : undefined), "a ticket"),
  };
  fields.end();
  return listing;
}
