/**
 * What a feed is: its name, who may write, and which rules its entries obey. Its address is the hash of that, so what
 * strangers send can be checked by the address alone: nobody can add a writer to a feed, or be in a feed with other rules
 * without being in another feed.
 */
import { equalBytes, sha256, toHex, utf8, utf8Decode } from "../../../shared/bytes.ts";
import { decode, encode, FieldReader } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import {
  type PeerId,
  peerIdFromKey,
  PUBLIC_KEY_BYTES,
  publicKeyOf,
  requirePeerId,
} from "../../../shared/ids.ts";

/** Writers of one feed: each peer follows all of them, and an entry's place is found by looking at each. */
export const WRITERS_MAX = 64;
/** Of UTF-8. */
export const NAME_BYTES_MAX = 64;
export const RULES_BYTES_MAX = 256;
export const ADDRESS_BYTES = 32;

const DEFINITION_VERSION = 1;
export const DEFINITION_BYTES_MAX = 4_096;
const LIMITS = {
  bytesMax: DEFINITION_BYTES_MAX,
  depthMax: 2,
  itemsMax: WRITERS_MAX + 8,
  textBytesMax: 0,
} as const;

export interface FeedDefinition {
  readonly name: string;
  /** Sorted, without repetition: an entry names its writer by its place here. */
  readonly writers: readonly PeerId[];
  /** What the application calls the rules by which it validates, e.g. "ledger/1"; other rules make another feed. */
  readonly rules: string;
}

/** @throws PeerloomError `usage/invalid`, `id/invalid` */
export function makeDefinition(name: string, writers: readonly string[], rules: string): FeedDefinition {
  requireText("A feed's name", name, 1, NAME_BYTES_MAX);
  requireText("A feed's rules", rules, 0, RULES_BYTES_MAX);
  const sorted = [...new Set(writers.map((writer) => requirePeerId(writer)))].sort();
  if (sorted.length === 0 || sorted.length > WRITERS_MAX)
    throw new PeerloomError("usage/invalid", `A feed has 1 to ${WRITERS_MAX} writers, not ${sorted.length}.`);
  return { name, writers: sorted, rules };
}

export function encodeDefinition({ name, writers, rules }: FeedDefinition): Uint8Array {
  return encode([DEFINITION_VERSION, utf8(name), writers.map(publicKeyOf), utf8(rules)]);
}

/** @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeDefinition(bytes: Uint8Array): FeedDefinition {
  const fields = new FieldReader(decode(bytes, LIMITS), "feed definition");
  fields.integer(DEFINITION_VERSION, DEFINITION_VERSION);
  const name = text(fields.bytes(1, NAME_BYTES_MAX));
  const writers = fields.list(WRITERS_MAX, (item) => {
    if (!(item instanceof Uint8Array) || item.length !== PUBLIC_KEY_BYTES)
      throw malformed("a writer is no key");
    return peerIdFromKey(item);
  });
  const rules = text(fields.bytes(0, RULES_BYTES_MAX));
  fields.end();
  const isSorted = writers.every((writer, index) => index === 0 || (writers[index - 1] as PeerId) < writer);
  if (writers.length === 0 || !isSorted) throw malformed("its writers are not sorted");
  return { name, writers, rules };
}

/** SHA-256 of the encoded definition. */
export async function addressOf(definition: FeedDefinition): Promise<Uint8Array> {
  return sha256(encodeDefinition(definition));
}

/** Whether a text is an address, 64 hexadecimal digits. */
export function isAddress(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** The definition that has this address. @throws PeerloomError `feeds/corrupt`, `wire/malformed` */
export async function requireDefinition(bytes: Uint8Array, address: string): Promise<FeedDefinition> {
  if (toHex(await sha256(bytes)) !== address)
    throw new PeerloomError("feeds/corrupt", "A definition does not belong to the feed's address.");
  const definition = decodeDefinition(bytes);
  // One way to write it, so that it is passed on as it came.
  if (!equalBytes(encodeDefinition(definition), bytes)) throw malformed("it is not written as it should be");
  return definition;
}

function requireText(what: string, value: string, min: number, max: number): void {
  const { length } = utf8(value);
  if (length < min || length > max || !value.isWellFormed())
    throw new PeerloomError("usage/invalid", `${what} has ${min} to ${max} bytes of UTF-8.`);
}

function text(bytes: Uint8Array): string {
  try {
    return utf8Decode(bytes);
  } catch (cause) {
    throw new PeerloomError("wire/malformed", "Malformed feed definition: text is not UTF-8.", { cause });
  }
}

function malformed(why: string): PeerloomError {
  return new PeerloomError("wire/malformed", `Malformed feed definition: ${why}.`);
}
