/**
 * `topic/1`: each side opens a stream to tell the other, and nothing comes back on it. A message has its length (4), its kind (1), and a positional
 * array, or for what was published its very bytes. Streams come and go as there is something to say; what was told holds as long as the
 * session. Membership and spreading are after gossipsub 1.1 (libp2p) and Plumtree (Leitão, Pereira and Rodrigues 2007).
 */
import { concatBytes, fromHex, toHex, utf8 } from "../../../shared/bytes.ts";
import { decode, encode, FieldReader } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { type PeerId, peerIdFromKey, PUBLIC_KEY_BYTES, publicKeyOf } from "../../../shared/ids.ts";
import { SIGNATURE_BYTES } from "../../identity/verify.ts";
import {
  type Envelope,
  ENVELOPE_BYTES_MAX,
  MESSAGE_ID_BYTES,
  type MessageId,
  readEnvelope,
  TOPIC_ID_BYTES,
  type TopicId,
} from "./envelope.ts";

export const TOPIC_PROTOCOL = "topic/1";
/** Topics of one message, and that one neighbour may be in. */
export const TOPICS_MAX = 256;
/** Ids of one message. */
export const IDS_MAX = 128;
/** Peers named in one message. */
export const PEERS_MAX = 8;
/** Past messages that may be asked for. */
export const PAST_MAX = 1_000;
/** One answer to a question, as `packValue` makes it. */
export const REPLY_BYTES_MAX: number = 16 * 1024;
/** Nobody is kept away longer by being pruned. */
export const BACKOFF_MS_MAX: number = 10 * 60_000;
export const MESSAGE_BYTES_MAX: number = 1 + ENVELOPE_BYTES_MAX;

const KIND = {
  interests: 1,
  graft: 2,
  prune: 3,
  peers: 4,
  message: 5,
  have: 6,
  want: 7,
  follow: 8,
  pastWant: 9,
  past: 10,
  pastEnd: 11,
  reply: 12,
} as const;
const WORDS_LIMITS = { bytesMax: 20_000, depthMax: 3, itemsMax: 1_024, textBytesMax: 0 } as const;
const REPLY_SIGNED_AS = "peerloom/topic-reply/1";

/** An answer to a question, on its way back. */
export interface Reply {
  readonly topic: TopicId;
  /** Of the question. */
  readonly ask: MessageId;
  readonly replier: PeerId;
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
}

export type TopicMessage =
  /** Topics that the sender has joined, or left. */
  | {
      readonly kind: "interests";
      readonly topics: readonly { readonly topic: TopicId; readonly on: boolean }[];
    }
  /** The link is to be one of the topic's mesh. */
  | { readonly kind: "graft"; readonly topic: TopicId }
  /** It is not, or not any more; the sender is left alone for so long. `peers`: others in the topic. */
  | {
      readonly kind: "prune";
      readonly topic: TopicId;
      readonly backoffMs: number;
      readonly peers: readonly PeerId[];
    }
  /** Others in the topic. */
  | { readonly kind: "peers"; readonly topic: TopicId; readonly peers: readonly PeerId[] }
  | { readonly kind: "message"; readonly envelope: Envelope }
  /** The sender can give these messages of one publisher; the largest has so many bytes. */
  | {
      readonly kind: "have";
      readonly topic: TopicId;
      readonly publisher: PeerId;
      readonly bytesMax: number;
      readonly ids: readonly MessageId[];
    }
  | { readonly kind: "want"; readonly topic: TopicId; readonly ids: readonly MessageId[] }
  /** What this publisher says is to be pushed, or only told of. */
  | { readonly kind: "follow"; readonly topic: TopicId; readonly publisher: PeerId; readonly on: boolean }
  /** The last so many messages are wanted; answered by `past` each and one `pastEnd`. */
  | { readonly kind: "pastWant"; readonly topic: TopicId; readonly count: number }
  | { readonly kind: "past"; readonly envelope: Envelope }
  | { readonly kind: "pastEnd"; readonly topic: TopicId }
  | ({ readonly kind: "reply" } & Reply);

/** With its kind, without its length. */
export function encodeMessage(message: TopicMessage): Uint8Array {
  const body =
    message.kind === "message" || message.kind === "past"
      ? message.envelope.bytes
      : encode(fieldsOf(message));
  return concatBytes(Uint8Array.of(KIND[message.kind]), body);
}

/** Without its length; the memory is not kept. @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeMessage(bytes: Uint8Array): TopicMessage {
  const kind = bytes[0];
  if (kind === KIND.message)
    return { kind: "message", envelope: readEnvelope(Uint8Array.from(bytes.subarray(1))) };
  if (kind === KIND.past) return { kind: "past", envelope: readEnvelope(Uint8Array.from(bytes.subarray(1))) };
  const fields = new FieldReader(decode(bytes.subarray(1), WORDS_LIMITS), "topic message");
  const message = readMessage(kind, fields);
  fields.end();
  return message;
}

/** What a replier signs. */
export function replySignedBytes(topicKey: Uint8Array, ask: MessageId, body: Uint8Array): Uint8Array {
  return concatBytes(utf8(REPLY_SIGNED_AS), topicKey, bytesOf(ask), body);
}

export function violation(why: string, cause?: unknown): PeerloomError {
  return new PeerloomError("topics/protocol", `The other side broke the topic protocol: ${why}.`, { cause });
}

function fieldsOf(message: Exclude<TopicMessage, { kind: "message" | "past" }>): unknown[] {
  switch (message.kind) {
    case "interests":
      return [message.topics.map(({ topic, on }) => [bytesOf(topic), on])];
    case "graft":
    case "pastEnd":
      return [bytesOf(message.topic)];
    case "prune":
      return [bytesOf(message.topic), Math.floor(message.backoffMs), message.peers.map(publicKeyOf)];
    case "peers":
      return [bytesOf(message.topic), message.peers.map(publicKeyOf)];
    case "have":
      return [
        bytesOf(message.topic),
        publicKeyOf(message.publisher),
        message.bytesMax,
        message.ids.map(bytesOf),
      ];
    case "want":
      return [bytesOf(message.topic), message.ids.map(bytesOf)];
    case "follow":
      return [bytesOf(message.topic), publicKeyOf(message.publisher), message.on];
    case "pastWant":
      return [bytesOf(message.topic), message.count];
    case "reply":
      return [
        bytesOf(message.topic),
        bytesOf(message.ask),
        publicKeyOf(message.replier),
        message.body,
        message.signature,
      ];
  }
}

function readMessage(kind: number | undefined, fields: FieldReader): TopicMessage {
  switch (kind) {
    case KIND.interests:
      return { kind: "interests", topics: fields.list(TOPICS_MAX, readInterest) };
    case KIND.graft:
      return { kind: "graft", topic: topicOf(fields) };
    case KIND.prune:
      return {
        kind: "prune",
        topic: topicOf(fields),
        backoffMs: fields.integer(0, BACKOFF_MS_MAX),
        peers: fields.list(PEERS_MAX, readPeer),
      };
    case KIND.peers:
      return { kind: "peers", topic: topicOf(fields), peers: fields.list(PEERS_MAX, readPeer) };
    case KIND.have:
      return {
        kind: "have",
        topic: topicOf(fields),
        publisher: peerOf(fields),
        bytesMax: fields.integer(1, ENVELOPE_BYTES_MAX),
        ids: fields.list(IDS_MAX, readId),
      };
    case KIND.want:
      return { kind: "want", topic: topicOf(fields), ids: fields.list(IDS_MAX, readId) };
    case KIND.follow:
      return { kind: "follow", topic: topicOf(fields), publisher: peerOf(fields), on: fields.boolean() };
    case KIND.pastWant:
      return { kind: "pastWant", topic: topicOf(fields), count: fields.integer(1, PAST_MAX) };
    case KIND.pastEnd:
      return { kind: "pastEnd", topic: topicOf(fields) };
    case KIND.reply:
      return {
        kind: "reply",
        topic: topicOf(fields),
        ask: toHex(fields.bytes(MESSAGE_ID_BYTES, MESSAGE_ID_BYTES)),
        replier: peerOf(fields),
        body: fields.bytes(1, REPLY_BYTES_MAX),
        signature: fields.bytes(SIGNATURE_BYTES, SIGNATURE_BYTES),
      };
    default:
      throw violation(`a message of kind ${kind}`);
  }
}

function topicOf(fields: FieldReader): TopicId {
  return toHex(fields.bytes(TOPIC_ID_BYTES, TOPIC_ID_BYTES));
}

function peerOf(fields: FieldReader): PeerId {
  return peerIdFromKey(fields.bytes(PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES));
}

function readInterest(item: unknown): { topic: TopicId; on: boolean } {
  const fields = new FieldReader(item, "interest");
  const interest = { topic: topicOf(fields), on: fields.boolean() };
  fields.end();
  return interest;
}

function readPeer(item: unknown): PeerId {
  if (item instanceof Uint8Array && item.length === PUBLIC_KEY_BYTES) return peerIdFromKey(item);
  throw violation("a peer that is none");
}

function readId(item: unknown): MessageId {
  if (item instanceof Uint8Array && item.length === MESSAGE_ID_BYTES) return toHex(item);
  throw violation("a message id that is none");
}

function bytesOf(hex: string): Uint8Array {
  return fromHex(hex) as Uint8Array;
}
