/**
 * One entry of a writer's log. Its bytes hold its number, the hash of the entry before it, the heads of other writers that
 * its writer had seen, a time and the value; they are hashed as they are. The first entry's predecessor is the hash of feed and writer, so that
 * no entry fits into another log. Who signed is told by the head that certifies it (head.ts).
 */
import { concatBytes, toHex } from "../../../shared/bytes.ts";
import { decode, encode, FieldReader } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { type PeerId, publicKeyOf } from "../../../shared/ids.ts";
import type { HashProvider } from "../../runtime.ts";
import { packValue, type PlainValue, unpackValue } from "../plain-value.ts";
import { type FeedDefinition, WRITERS_MAX } from "./definition.ts";
import { HASH_BYTES } from "./tree.ts";

/** What an entry may carry; larger things are shared as files and their tickets appended. */
export const ENTRY_VALUE_BYTES_MAX: number = 64 * 1024;
/** Of one writer's log: about 200 bytes of memory each. At the limit `append` fails and nothing more is fetched. */
export const ENTRIES_MAX: number = 2 ** 20;
export const ENTRY_BYTES_MAX: number = ENTRY_VALUE_BYTES_MAX + 1 + 64 * WRITERS_MAX;

const LIMITS = {
  bytesMax: ENTRY_BYTES_MAX,
  depthMax: 3,
  itemsMax: 4 * WRITERS_MAX + 8,
  textBytesMax: 0,
} as const;
const TIME_MS_MAX = 2 ** 48;

export type FeedValue = PlainValue;

/** Another writer's entry that the writer had seen, and with it all behind that. */
export interface FeedLink {
  readonly writer: PeerId;
  readonly seq: number;
  /** 64 hexadecimal digits. */
  readonly hash: string;
}

export interface FeedEntry {
  readonly writer: PeerId;
  /** From 0. */
  readonly seq: number;
  /** SHA-256, 64 hexadecimal digits. */
  readonly hash: string;
  readonly links: readonly FeedLink[];
  /** The writer's clock, ms since 1970: for people; nothing is decided by it. */
  readonly timeMs: number;
  readonly value: FeedValue;
}

/** A link inside a feed: writers by their place in the definition. */
export interface EntryLink {
  readonly writer: number;
  /** Entries seen of that writer. */
  readonly length: number;
  /** Of the last one seen. */
  readonly hash: Uint8Array;
}

export interface Entry {
  readonly seq: number;
  readonly previous: Uint8Array;
  readonly links: readonly EntryLink[];
  readonly timeMs: number;
  /** Packed. */
  readonly value: Uint8Array;
}

/** @throws PeerloomError `feeds/too-large`, `usage/invalid` */
export function packEntryValue(value: FeedValue): Uint8Array {
  const packed = packValue(value, "An entry");
  if (packed.length <= ENTRY_VALUE_BYTES_MAX + 1) return packed;
  throw new PeerloomError(
    "feeds/too-large",
    `An entry holds ${ENTRY_VALUE_BYTES_MAX} bytes, this value has ${packed.length - 1}. Share it as a file and append its ticket.`,
  );
}

export function encodeEntry({ seq, previous, links, timeMs, value }: Entry): Uint8Array {
  return encode([seq, previous, links.map((link) => [link.writer, link.length, link.hash]), timeMs, value]);
}

/** @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeEntry(bytes: Uint8Array): Entry {
  const fields = new FieldReader(decode(bytes, LIMITS), "feed entry");
  const entry: Entry = {
    seq: fields.integer(0, ENTRIES_MAX - 1),
    previous: fields.bytes(HASH_BYTES, HASH_BYTES),
    links: fields.list(WRITERS_MAX, (item) => {
      const link = new FieldReader(item, "link");
      const read: EntryLink = {
        writer: link.integer(0, WRITERS_MAX - 1),
        length: link.integer(1, ENTRIES_MAX),
        hash: link.bytes(HASH_BYTES, HASH_BYTES),
      };
      link.end();
      return read;
    }),
    timeMs: fields.integer(0, TIME_MS_MAX),
    value: fields.bytes(1, ENTRY_VALUE_BYTES_MAX + 1),
  };
  fields.end();
  return entry;
}

/** The entry as applications see it. @throws PeerloomError `wire/malformed` when its value cannot be read */
export function toFeedEntry(
  { writers }: FeedDefinition,
  writer: number,
  hash: Uint8Array,
  { seq, links, timeMs, value }: Entry,
): FeedEntry {
  return {
    writer: writers[writer] as PeerId,
    seq,
    hash: toHex(hash),
    links: links.map((link) => ({
      writer: writers[link.writer] as PeerId,
      seq: link.length - 1,
      hash: toHex(link.hash),
    })),
    timeMs,
    value: unpackValue(value, ENTRY_VALUE_BYTES_MAX + 1),
  };
}

/** What stands before a writer's first entry. */
export async function genesisOf(
  hash: HashProvider,
  address: Uint8Array,
  writer: PeerId,
): Promise<Uint8Array> {
  return hash.sha256(concatBytes(address, publicKeyOf(writer)));
}
