/**
 * `search/1`: a stream for one question, or for one digest. Each message has its length (4) before it and is a positional array. The asker says
 * `query` and ends; what comes back are `hits`, as many messages as it takes, and one `end`. A `digest` is not answered. A hit is a
 * ticket: name, size, hash and who has it all stand in there.
 */
import { concatBytes, writeUint32 } from "../../../shared/bytes.ts";
import { decode, encode, FieldReader } from "../../../shared/codec.ts";
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import { isListedTicket, LISTED_TICKET_CHARACTERS_MAX } from "../../../shared/listings.ts";
import { isWord, QUERY_WORDS_MAX, WORD_CHARACTERS_MAX } from "../../../shared/words.ts";
import { FrameAssembler, LENGTH_BYTES } from "../../links/frame-assembler.ts";
import { DIGEST_BYTES_MAX } from "./digest.ts";

export const SEARCH_PROTOCOL = "search/1";
export const QUERY_ID_BYTES = 16;
/** Hits that a question may ask for. */
export const LIMIT_MAX = 200;
/** Steps from one peer to the next. */
export const TTL_MAX = 8;
/** Peers that one question may touch. */
export const BUDGET_MAX = 128;
/** A question that nobody waits for longer. */
export const QUERY_MS_MAX = 30_000;
/** Tickets of one message. */
export const HITS_PER_MESSAGE_MAX = 8;

const MESSAGE_BYTES_MAX: number = HITS_PER_MESSAGE_MAX * (LISTED_TICKET_CHARACTERS_MAX + 8) + 64;
const KIND = { query: 0, digest: 1, hits: 2, end: 3 } as const;
const LIMITS = {
  bytesMax: MESSAGE_BYTES_MAX,
  depthMax: 2,
  itemsMax: 32,
  textBytesMax: LISTED_TICKET_CHARACTERS_MAX,
} as const;

/** A question on its way. */
export interface Query {
  /** The same wherever it comes; 16 bytes. */
  readonly id: Uint8Array;
  /** As `wordsOf` makes them. */
  readonly words: readonly string[];
  /** Hits wanted. */
  readonly limit: number;
  /** Steps that may still be taken from the one who is asked; 0: it answers for itself. */
  readonly ttl: number;
  /** Peers that may be touched, the one who is asked among them. */
  readonly budget: number;
  /** How long the asker waits. */
  readonly timeMs: number;
}

export type SearchMessage =
  | { readonly kind: "query"; readonly query: Query }
  | { readonly kind: "digest"; readonly bytes: Uint8Array }
  | { readonly kind: "hits"; readonly tickets: readonly string[] }
  /** `touched`: peers that this question has newly reached behind this stream; 0: it had been here before. */
  | { readonly kind: "end"; readonly touched: number };

/** Of the hits wanted, so many are taken from one of several: who makes them up shall not crowd out the others. */
export function hitsOfOne(limit: number, several: number): number {
  return several > 1 ? Math.max(Math.min(limit, HITS_PER_MESSAGE_MAX), Math.ceil(limit / 2)) : limit;
}

/** With its length before it. */
export function encodeMessage(message: SearchMessage): Uint8Array {
  const body = encode(fieldsOf(message));
  const head = new Uint8Array(LENGTH_BYTES);
  writeUint32(head, 0, body.length);
  return concatBytes(head, body);
}

/** Without its length. @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeMessage(bytes: Uint8Array): SearchMessage {
  const fields = new FieldReader(decode(bytes, LIMITS), "search message");
  const message = readMessage(fields);
  fields.end();
  return message;
}

/**
 * The messages of a stream until it ends.
 * @throws PeerloomError `search/protocol` for what is none, or why the stream failed
 */
export async function* readMessages(readable: ReadableStream<Uint8Array>): AsyncGenerator<SearchMessage> {
  const frames = new FrameAssembler(MESSAGE_BYTES_MAX);
  const reader = readable.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const messages: SearchMessage[] = [];
      try {
        frames.add(value, (frame) => messages.push(decodeMessage(frame)));
      } catch (cause) {
        throw violation("a malformed message", cause);
      }
      yield* messages;
    }
  } catch (error) {
    throw toPeerloomError(error, "stream/reset", "The stream of a search has failed.");
  } finally {
    reader.cancel().catch(() => {});
  }
}

export function violation(why: string, cause?: unknown): PeerloomError {
  return new PeerloomError("search/protocol", `The other side broke the search protocol: ${why}.`, { cause });
}

function fieldsOf(message: SearchMessage): unknown[] {
  switch (message.kind) {
    case "query": {
      const { id, words, limit, ttl, budget, timeMs } = message.query;
      return [KIND.query, id, words, limit, ttl, budget, Math.floor(timeMs)];
    }
    case "digest":
      return [KIND.digest, message.bytes];
    case "hits":
      return [KIND.hits, message.tickets];
    case "end":
      return [KIND.end, message.touched];
  }
}

function readMessage(fields: FieldReader): SearchMessage {
  switch (fields.integer(0, KIND.end)) {
    case KIND.query:
      return { kind: "query", query: readQuery(fields) };
    case KIND.digest:
      return { kind: "digest", bytes: fields.bytes(1, DIGEST_BYTES_MAX) };
    case KIND.hits:
      return { kind: "hits", tickets: fields.list(HITS_PER_MESSAGE_MAX, readTicketText) };
    default:
      return { kind: "end", touched: fields.integer(0, BUDGET_MAX) };
  }
}

function readQuery(fields: FieldReader): Query {
  const query = {
    id: fields.bytes(QUERY_ID_BYTES, QUERY_ID_BYTES),
    words: fields.list(QUERY_WORDS_MAX, readWord),
    limit: fields.integer(1, LIMIT_MAX),
    ttl: fields.integer(0, TTL_MAX),
    budget: fields.integer(1, BUDGET_MAX),
    timeMs: fields.integer(1, QUERY_MS_MAX),
  };
  if (query.words.length === 0) throw violation("a question without words");
  return query;
}

/** One word has one form: another would be looked for in vain, and pass by what has been asked before. */
function readWord(item: unknown): string {
  if (typeof item === "string" && item.length <= 2 * WORD_CHARACTERS_MAX && isWord(item)) return item;
  throw violation("a word that is none");
}

function readTicketText(item: unknown): string {
  if (typeof item === "string" && isListedTicket(item)) return item;
  throw violation("a hit that is no ticket");
}
