/**
 * `feed/1`: one stream between two peers that have, or want, one feed. Who opened it names the feed, the other answers with its definition;
 * from then on both sides are alike: each tells the heads it has, asks for ranges and answers. `shared/WIRE.md` has the bytes.
 */
import { decode, encode, FieldReader } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { shortMessage } from "../files/protocol.ts";
import { ADDRESS_BYTES, DEFINITION_BYTES_MAX, WRITERS_MAX } from "./definition.ts";
import { ENTRIES_MAX, ENTRY_BYTES_MAX } from "./entry.ts";
import { FORK_BYTES_MAX } from "./fork.ts";
import { type Head, headFields, readHead } from "./head.ts";
import { type Range, RANGE_BYTES_ENOUGH, RANGE_ENTRIES_MAX, rangeFields, readRange } from "./range.ts";

export const FEED_PROTOCOL = "feed/1";

/** First byte of a message. */
const MESSAGE = {
  /** The address (32). Answered by `definition`, or by `failure` and the end. */
  open: 1,
  definition: 2,
  heads: 3,
  want: 4,
  range: 5,
  /** The range that was wanted is not there any more, or not yet. */
  missing: 6,
  fork: 7,
  failure: 8,
} as const;

/** A writer's newest head, and how much of it is to be had here. */
export interface HeadNotice {
  /** By its place in the definition. */
  readonly writer: number;
  readonly head: Head;
  /** Entries that this peer has and finds valid; never more than the head's. */
  readonly have: number;
}

export type FeedMessage =
  | { readonly kind: "open"; readonly address: Uint8Array }
  | { readonly kind: "definition"; readonly bytes: Uint8Array }
  | { readonly kind: "heads"; readonly heads: readonly HeadNotice[] }
  | {
      readonly kind: "want";
      /** Of the asker's own; comes back in the answer. */
      readonly request: number;
      readonly writer: number;
      readonly from: number;
      readonly count: number;
    }
  | { readonly kind: "range"; readonly request: number; readonly range: Range }
  | { readonly kind: "missing"; readonly request: number }
  | { readonly kind: "fork"; readonly proof: Uint8Array }
  | { readonly kind: "failure" };

const RANGE_MESSAGE_BYTES_MAX: number = RANGE_BYTES_ENOUGH + ENTRY_BYTES_MAX + 16 * 1024;
/** The longest message: a range. */
export const MESSAGE_BYTES_MAX: number = Math.max(RANGE_MESSAGE_BYTES_MAX, FORK_BYTES_MAX);
const REQUEST_MAX = 2 ** 32 - 1;
const WORDS_LIMITS = {
  bytesMax: 16 * 1024,
  depthMax: 3,
  itemsMax: 8 * WRITERS_MAX,
  textBytesMax: 0,
} as const;
const RANGE_LIMITS = {
  bytesMax: RANGE_MESSAGE_BYTES_MAX,
  depthMax: 2,
  itemsMax: RANGE_ENTRIES_MAX + 512,
  textBytesMax: 0,
} as const;

/** With its length in front. */
export function encodeMessage(message: FeedMessage): Uint8Array {
  return shortMessage(MESSAGE[message.kind], bodyOf(message));
}

/** @throws PeerloomError `wire/malformed`, `wire/too-large`, `feeds/protocol` */
export function decodeMessage(type: number, body: Uint8Array): FeedMessage {
  switch (type) {
    case MESSAGE.open:
      if (body.length !== ADDRESS_BYTES) throw violation("an address has 32 bytes");
      return { kind: "open", address: body };
    case MESSAGE.definition:
      if (body.length > DEFINITION_BYTES_MAX) throw violation("the definition is too long");
      return { kind: "definition", bytes: body };
    case MESSAGE.heads: {
      const heads = new FieldReader([decode(body, WORDS_LIMITS)], "heads").list(WRITERS_MAX, readNotice);
      return { kind: "heads", heads };
    }
    case MESSAGE.want: {
      const fields = new FieldReader(decode(body, WORDS_LIMITS), "want");
      const message = {
        kind: "want",
        request: fields.integer(0, REQUEST_MAX),
        writer: fields.integer(0, WRITERS_MAX - 1),
        from: fields.integer(0, ENTRIES_MAX - 1),
        count: fields.integer(1, RANGE_ENTRIES_MAX),
      } as const;
      fields.end();
      return message;
    }
    case MESSAGE.range: {
      const fields = new FieldReader(decode(body, RANGE_LIMITS), "range");
      const message = {
        kind: "range",
        request: fields.integer(0, REQUEST_MAX),
        range: readRange(fields),
      } as const;
      fields.end();
      return message;
    }
    case MESSAGE.missing: {
      const fields = new FieldReader(decode(body, WORDS_LIMITS), "missing");
      const message = { kind: "missing", request: fields.integer(0, REQUEST_MAX) } as const;
      fields.end();
      return message;
    }
    case MESSAGE.fork:
      if (body.length > FORK_BYTES_MAX) throw violation("the proof is too long");
      return { kind: "fork", proof: body };
    case MESSAGE.failure:
      return { kind: "failure" };
    default:
      throw violation(`message ${type}`);
  }
}

export function violation(why: string): PeerloomError {
  return new PeerloomError("feeds/protocol", `The other side broke the feed protocol: ${why}.`);
}

function bodyOf(message: FeedMessage): Uint8Array {
  switch (message.kind) {
    case "open":
      return message.address;
    case "definition":
      return message.bytes;
    case "heads":
      return encode(message.heads.map(({ writer, head, have }) => [writer, ...headFields(head), have]));
    case "want":
      return encode([message.request, message.writer, message.from, message.count]);
    case "range":
      return encode([message.request, ...rangeFields(message.range)]);
    case "missing":
      return encode([message.request]);
    case "fork":
      return message.proof;
    case "failure":
      return new Uint8Array(0);
  }
}

function readNotice(item: unknown): HeadNotice {
  const fields = new FieldReader(item, "head");
  const writer = fields.integer(0, WRITERS_MAX - 1);
  const head = readHead(fields);
  const have = fields.integer(0, head.length);
  fields.end();
  return { writer, head, have };
}
