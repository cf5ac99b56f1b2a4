/**
 * The serializations of PeerJS: how values become messages of a data channel, and the way back. One object for each connection, since pieces
 * of a value are numbered and wait for each other.
 */
import { utf8, utf8Decode } from "../../shared/bytes.ts";
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { unpack } from "./binarypack-reader.ts";
import { pack } from "./binarypack-writer.ts";
import { chunksOf } from "./chunk-writer.ts";
import { ChunkedValues } from "./chunked-values.ts";
import { parseJson } from "./json.ts";
import { CHUNK_BYTES, ITEM_COST_BYTES, VALUE_DEPTH_MAX } from "./limits.ts";

/** `binary-utf8` is `binary` under an older name. */
export const SERIALIZATIONS = ["binary", "binary-utf8", "json", "raw"] as const;
export type Serialization = (typeof SERIALIZATIONS)[number];

/** A message for the channel: a text, or bytes in pieces. */
export type ChannelMessage = string | readonly Uint8Array[];

/** What a message was: a value, a piece of one, or the other side's last word. `cost`: bytes that are held from now on. */
export type Arrived =
  | { readonly kind: "value"; readonly value: unknown; readonly cost: number; readonly released: number }
  | { readonly kind: "piece"; readonly cost: number }
  | { readonly kind: "close" };

export interface Serializer {
  /**
   * Checks and packs at once, so that the caller learns here what is wrong; the messages are made as they are asked for.
   * @throws PeerloomError `peerjs/value-invalid`, `peerjs/too-large`
   */
  encode(value: unknown): Encoded;
  /** @throws PeerloomError `wire/malformed`, `peerjs/too-large` */
  decode(message: Uint8Array | string, nowMs: number): Arrived;
  /** When a piece that is missing is given up. */
  readonly deadlineMs: number | undefined;
}

export interface Encoded {
  readonly bytes: number;
  messages(): AsyncIterable<ChannelMessage> | Iterable<ChannelMessage>;
}

export function isSerialization(name: unknown): name is Serialization {
  return SERIALIZATIONS.some((known) => known === name);
}

export function serializerOf(name: Serialization, valueBytesMax: number): Serializer {
  switch (name) {
    case "raw":
      return new RawSerializer(valueBytesMax);
    case "json":
      return new JsonSerializer();
    case "binary":
    case "binary-utf8":
      return new BinarySerializer(valueBytesMax);
  }
}

class RawSerializer implements Serializer {
  readonly deadlineMs = undefined;
  readonly #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  encode(value: unknown): Encoded {
    if (typeof value === "string") {
      const bytes = utf8(value).length;
      return this.#checked({ bytes, messages: () => [value] });
    }
    if (value instanceof Blob) {
      const read = async function* (): AsyncGenerator<ChannelMessage, void> {
        yield [new Uint8Array(await value.arrayBuffer())];
      };
      return this.#checked({ bytes: value.size, messages: read });
    }
    const bytes = bytesOf(value);
    if (bytes === undefined)
      throw invalid("Serialization raw carries strings and bytes. Encode the value, or connect with binary.");
    return this.#checked({ bytes: bytes.length, messages: () => [[bytes]] });
  }

  decode(message: Uint8Array | string): Arrived {
    // The memory of a message is the caller's.
    const value = typeof message === "string" ? message : new Uint8Array(message).buffer;
    return { kind: "value", value, cost: message.length + ITEM_COST_BYTES, released: 0 };
  }

  #checked(encoded: Encoded): Encoded {
    if (encoded.bytes <= this.#bytesMax) return encoded;
    throw tooLarge(`A raw message has at most ${this.#bytesMax} bytes here. Send it in pieces.`);
  }
}

class JsonSerializer implements Serializer {
  readonly deadlineMs = undefined;

  encode(value: unknown): Encoded {
    let text: string | undefined;
    try {
      text = JSON.stringify(value);
    } catch (cause) {
      throw toPeerloomError(cause, "peerjs/value-invalid", "The value cannot be written as JSON.");
    }
    if (text === undefined) throw invalid(`A ${typeof value} cannot be written as JSON.`);
    checkTop(text === "null" ? null : value);
    const bytes = utf8(text);
    if (bytes.length >= CHUNK_BYTES)
      throw tooLarge(`JSON has at most ${CHUNK_BYTES - 1} bytes over PeerJS. Connect with binary.`);
    return { bytes: bytes.length, messages: () => [[bytes]] };
  }

  decode(message: Uint8Array | string): Arrived {
    if (typeof message === "string") throw malformed("a text where JSON comes as bytes");
    let text: string;
    try {
      text = utf8Decode(message);
    } catch (cause) {
      throw toPeerloomError(cause, "wire/malformed", "JSON that is not UTF-8.");
    }
    const { value, items } = parseJson(text, VALUE_DEPTH_MAX);
    return isClose(value) ? { kind: "close" } : valueOf(value, message.length, items, 0);
  }
}

class BinarySerializer implements Serializer {
  readonly #bytesMax: number;
  readonly #pieces: ChunkedValues;
  #sent = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#pieces = new ChunkedValues(bytesMax);
  }

  get deadlineMs(): number | undefined {
    return this.#pieces.deadlineMs;
  }

  encode(value: unknown): Encoded {
    checkTop(value);
    const packed = pack(value, this.#bytesMax);
    if (packed.bytes > CHUNK_BYTES) this.#sent += 1;
    const id = this.#sent;
    return { bytes: packed.bytes, messages: () => chunksOf(packed, id) };
  }

  decode(message: Uint8Array | string, nowMs: number): Arrived {
    if (typeof message === "string") throw malformed("a text where values come packed");
    const { value, items } = unpack(message);
    if (!isReserved(value)) return valueOf(value, message.length, items, 0);
    if (isClose(value)) return { kind: "close" };
    const { cost, whole } = this.#pieces.take(value, nowMs);
    if (whole === undefined) return { kind: "piece", cost };
    const unpacked = unpack(whole.bytes);
    if (isClose(unpacked.value)) return { kind: "close" };
    if (isReserved(unpacked.value)) throw malformed("pieces in pieces");
    // The last piece was not charged yet.
    return valueOf(unpacked.value, whole.bytes.length, unpacked.items, whole.cost - cost);
  }
}

function valueOf(value: unknown, bytes: number, items: number, released: number): Arrived {
  return { kind: "value", value, cost: bytes + items * ITEM_COST_BYTES, released };
}

/** PeerJS's own words: the stock client takes any object with a truthy `__peerData` for one. */
function isReserved(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && "__peerData" in value && Boolean(value.__peerData);
}

function isClose(value: unknown): boolean {
  if (!isReserved(value)) return false;
  const word = value["__peerData"];
  return typeof word === "object" && word !== null && "type" in word && word.type === "close";
}

/** What the stock client throws on, or takes for its own. */
function checkTop(value: unknown): void {
  if (value === null || value === undefined)
    throw invalid(`The stock PeerJS client throws on ${String(value)}. Send it in an array or an object.`);
  if (isReserved(value)) throw invalid('An object with "__peerData" is PeerJS\'s own. Choose another key.');
}

function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (!ArrayBuffer.isView(value)) return undefined;
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

function invalid(message: string): PeerloomError {
  return new PeerloomError("peerjs/value-invalid", message);
}

function tooLarge(message: string): PeerloomError {
  return new PeerloomError("peerjs/too-large", message);
}

function malformed(what: string): PeerloomError {
  return new PeerloomError("wire/malformed", `That is no message of PeerJS: ${what}.`);
}
