/**
 * A published message as it travels: fixed fields, the publisher's signature, then the value. Everybody passes on the same bytes, so their hash is
 * the message's id wherever it comes from. Fixed fields and not msgpack: one message has one form, and nobody can make a second one of it.
 */
import { concatBytes, readUint32, toHex, utf8, writeUint32 } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { type PeerId, peerIdFromKey, PUBLIC_KEY_BYTES, publicKeyOf } from "../../../shared/ids.ts";
import { SIGNATURE_BYTES } from "../../identity/verify.ts";

export const TOPIC_ID_BYTES = 16;
export const MESSAGE_ID_BYTES = 16;
export const TOPIC_KEY_BYTES = 32;
/** A value as `packValue` makes it. What is larger is a file: share it, and publish its ticket. */
export const BODY_BYTES_MAX: number = 256 * 1024;

const SIGNED_AS = "peerloom/topic/1";
const KIND = { value: 0, ask: 1 } as const;
const AT = {
  kind: 0,
  topic: 1,
  publisher: 17,
  run: 49,
  seq: 57,
  time: 61,
  signature: 69,
  body: 133,
} as const;
export const ENVELOPE_BYTES_MAX: number = AT.body + BODY_BYTES_MAX;
const TWO_32 = 2 ** 32;

/** The first 16 bytes of a topic's key, hex. */
export type TopicId = string;
/** The first 16 bytes of SHA-256 of an envelope, hex. */
export type MessageId = string;

export interface EnvelopeFields {
  /** `ask`: answers are wanted. */
  readonly kind: keyof typeof KIND;
  readonly publisher: PeerId;
  /** When the publisher opened the topic: its numbers begin anew then. Wall clock, ms since 1970. */
  readonly runMs: number;
  /** From 0, without a gap in one run. */
  readonly seq: number;
  /** When it was published, by the publisher's wall clock. */
  readonly timeMs: number;
  /** 1 to 262,144 bytes. */
  readonly body: Uint8Array;
}

export interface Envelope extends EnvelopeFields {
  readonly topic: TopicId;
  readonly signature: Uint8Array;
  /** All of it, as it travels. */
  readonly bytes: Uint8Array;
}

/** Where a topic is found: SHA-256 of this; its first half names the topic between peers. */
export function topicKeyInput(network: string, name: string): Uint8Array {
  return utf8(`${SIGNED_AS}\n${network}\n${name}`);
}

export function topicIdOf(topicKey: Uint8Array): TopicId {
  return toHex(topicKey.subarray(0, TOPIC_ID_BYTES));
}

/** @param topicKey 32 bytes */
export async function sealEnvelope(
  topicKey: Uint8Array,
  fields: EnvelopeFields,
  sign: (bytes: Uint8Array) => Promise<Uint8Array>,
): Promise<Envelope> {
  const bytes = new Uint8Array(AT.body + fields.body.length);
  bytes[AT.kind] = KIND[fields.kind];
  bytes.set(topicKey.subarray(0, TOPIC_ID_BYTES), AT.topic);
  bytes.set(publicKeyOf(fields.publisher), AT.publisher);
  writeUint64(bytes, AT.run, fields.runMs);
  writeUint32(bytes, AT.seq, fields.seq);
  writeUint64(bytes, AT.time, fields.timeMs);
  bytes.set(fields.body, AT.body);
  bytes.set(await sign(signedBytes(topicKey, bytes)), AT.signature);
  return readEnvelope(bytes);
}

/** Keeps the memory. @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function readEnvelope(bytes: Uint8Array): Envelope {
  if (bytes.length > ENVELOPE_BYTES_MAX)
    throw new PeerloomError("wire/too-large", `A published message of ${bytes.length} bytes.`);
  const kind = bytes[AT.kind];
  if (bytes.length <= AT.body || (kind !== KIND.value && kind !== KIND.ask))
    throw new PeerloomError("wire/malformed", "Malformed message: no published message.");
  return {
    kind: kind === KIND.ask ? "ask" : "value",
    topic: toHex(bytes.subarray(AT.topic, AT.topic + TOPIC_ID_BYTES)),
    publisher: peerIdFromKey(bytes.subarray(AT.publisher, AT.publisher + PUBLIC_KEY_BYTES)),
    runMs: readUint64(bytes, AT.run),
    seq: readUint32(bytes, AT.seq),
    timeMs: readUint64(bytes, AT.time),
    signature: bytes.subarray(AT.signature, AT.signature + SIGNATURE_BYTES),
    body: bytes.subarray(AT.body),
    bytes,
  };
}

/** What the signature is over: the purpose, the whole topic key, and everything but the signature. */
export function signedBytes(topicKey: Uint8Array, bytes: Uint8Array): Uint8Array {
  return concatBytes(utf8(SIGNED_AS), topicKey, bytes.subarray(0, AT.signature), bytes.subarray(AT.body));
}

function writeUint64(bytes: Uint8Array, offset: number, value: number): void {
  writeUint32(bytes, offset, Math.floor(value / TWO_32));
  writeUint32(bytes, offset + 4, value % TWO_32);
}

/** @throws PeerloomError `wire/malformed` past 2^53 */
function readUint64(bytes: Uint8Array, offset: number): number {
  const value = readUint32(bytes, offset) * TWO_32 + readUint32(bytes, offset + 4);
  if (Number.isSafeInteger(value)) return value;
  throw new PeerloomError("wire/malformed", "Malformed message: a time that is none.");
}
