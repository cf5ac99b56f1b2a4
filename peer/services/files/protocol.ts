/**
 * `files/1`: one stream from a getter to one source. Each message is a 4-byte length, a type byte and a body; chunk bytes follow raw.
 * The getter opens by proving that it knows the share's hash, the source answers with its own proof and what it has; then the
 * getter asks, and the source answers in whatever order suits it, and tells what else it has come to have and who else takes part.
 */
import { giveBack } from "../../../shared/bytes.ts";
import { decode, encode, FieldReader } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { peerIdFromKey, PUBLIC_KEY_BYTES, publicKeyOf } from "../../../shared/ids.ts";
import { ADDRESS_BYTES_MAX, ADDRESSES_MAX } from "../../../shared/limits.ts";
import { PROOF_BYTES, SWARM_KEY_BYTES } from "./access.ts";
import { CHUNKS_MAX, CONTENT_BYTES_MAX } from "./chunks.ts";
import { MANIFEST_BYTES_MAX } from "./manifest.ts";
import type { TicketProvider } from "./ticket.ts";

export const FILES_PROTOCOL = "files/1";

/** Type of a message. */
export const MESSAGE = {
  /** Getter, first: see `Opening`. Answered by `welcome`. */
  open: 1,
  /** Source: proof (32), bitfield. */
  welcome: 2,
  /** Getter: nothing. Answered by `manifest`. */
  manifestWanted: 3,
  /** Source: the manifest's bytes. */
  manifest: 4,
  /** Getter: nothing. Answered by `layer`. */
  layerWanted: 5,
  /** Source: the hashes of all chunks. */
  layer: 6,
  /** Getter: index (4). Answered by `chunk`, unless cancelled. */
  chunkWanted: 7,
  /** Source: index (4), the chunk. */
  chunk: 8,
  /** Getter: index (4). It comes all the same when it was on its way. */
  cancel: 9,
  /** Source: indexes (4 each) that it can give as well by now. */
  have: 10,
  /** Source: others that take part, see `encodePeers`. */
  peers: 11,
  /** Source: an error code; nothing follows. */
  failure: 12,
} as const;

const HEAD_BYTES = 5;
export const INDEX_BYTES = 4;
/** Indexes in one `have`. */
export const HAVE_MAX = 1024;
/** New members are told together, no more often than this. */
export const PEERS_EVERY_MS = 250;
/** Peers told of at once. */
export const PEERS_TOLD_MAX = 16;
/** Addresses told of each. */
const PEER_ADDRESSES_MAX = 4;
/** What a getter says is short; its opening is the longest. */
export const REQUEST_BYTES_MAX: number = 256 + ADDRESSES_MAX * (ADDRESS_BYTES_MAX + 8);
/** The longest answer: a manifest, or a chunk with its index. */
export const ANSWER_BYTES_MAX: number = Math.max(
  MANIFEST_BYTES_MAX,
  CONTENT_BYTES_MAX / CHUNKS_MAX + INDEX_BYTES,
);
const PEERS_BYTES_MAX: number = 64 + PEERS_TOLD_MAX * (64 + PEER_ADDRESSES_MAX * (ADDRESS_BYTES_MAX + 8));

/** How a getter begins. */
export interface Opening {
  readonly key: Uint8Array;
  readonly proof: Uint8Array;
  /** It serves what it has, too. */
  readonly gives: boolean;
  /** Where others reach it. */
  readonly addresses: readonly string[];
}

export interface Message {
  readonly type: number;
  /** Memory of its own. */
  readonly body: Uint8Array;
}

export function messageHead(type: number, bodyBytes: number): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  new DataView(head.buffer).setUint32(0, bodyBytes);
  head[4] = type;
  return head;
}

/** A message whose body is small. */
export function shortMessage(type: number, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  const message = new Uint8Array(HEAD_BYTES + body.length);
  message.set(messageHead(type, body.length));
  message.set(body, HEAD_BYTES);
  return message;
}

export function encodeOpening({ key, proof, gives, addresses }: Opening): Uint8Array {
  return encode([key, proof, gives, addresses.slice(0, ADDRESSES_MAX)]);
}

/** @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeOpening(body: Uint8Array): Opening {
  const limits = {
    bytesMax: REQUEST_BYTES_MAX,
    depthMax: 2,
    itemsMax: ADDRESSES_MAX + 8,
    textBytesMax: ADDRESS_BYTES_MAX,
  };
  const fields = new FieldReader(decode(body, limits), "opening");
  const opening = {
    key: fields.bytes(SWARM_KEY_BYTES, SWARM_KEY_BYTES),
    proof: fields.bytes(PROOF_BYTES, PROOF_BYTES),
    gives: fields.boolean(),
    addresses: fields.list(ADDRESSES_MAX, readAddress),
  };
  fields.end();
  return opening;
}

export function encodePeers(peers: readonly TicketProvider[]): Uint8Array {
  return encode(
    peers
      .slice(0, PEERS_TOLD_MAX)
      .map(({ id, addresses }) => [publicKeyOf(id), addresses.slice(0, PEER_ADDRESSES_MAX)]),
  );
}

/** @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodePeers(body: Uint8Array): TicketProvider[] {
  const limits = {
    bytesMax: PEERS_BYTES_MAX,
    depthMax: 3,
    itemsMax: PEERS_TOLD_MAX * (PEER_ADDRESSES_MAX + 3) + 1,
    textBytesMax: ADDRESS_BYTES_MAX,
  };
  const value = decode(body, limits);
  const peers = new FieldReader([value], "peers").list(PEERS_TOLD_MAX, (item) => {
    const fields = new FieldReader(item, "peer");
    const id = peerIdFromKey(fields.bytes(PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES));
    const addresses = fields.list(PEER_ADDRESSES_MAX, readAddress);
    fields.end();
    return { id, addresses };
  });
  return peers;
}

export function indexBody(index: number): Uint8Array {
  return indexesBody([index]);
}

export function indexesBody(indexes: readonly number[]): Uint8Array {
  const body = new Uint8Array(indexes.length * INDEX_BYTES);
  const view = new DataView(body.buffer);
  for (const [at, index] of indexes.entries()) view.setUint32(at * INDEX_BYTES, index);
  return body;
}

/** The first index in a body. @throws PeerloomError `files/protocol` */
export function indexOf(body: Uint8Array): number {
  if (body.length < INDEX_BYTES) throw violation("an index is missing");
  return new DataView(body.buffer, body.byteOffset).getUint32(0);
}

/** All of a body. @throws PeerloomError `files/protocol` */
export function indexesOf(body: Uint8Array): number[] {
  if (body.length % INDEX_BYTES !== 0 || body.length > HAVE_MAX * INDEX_BYTES)
    throw violation("a list of indexes is cut short or too long");
  const view = new DataView(body.buffer, body.byteOffset);
  return Array.from({ length: body.length / INDEX_BYTES }, (_, at) => view.getUint32(at * INDEX_BYTES));
}

/** Messages out of a stream's chunks, which come cut anyhow. */
export class MessageReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #bodyBytesMax: number;
  readonly #violation: (why: string) => PeerloomError;
  readonly #onBytes: () => void;
  #rest: Uint8Array = new Uint8Array(0);
  /** What the rest is the rest of. */
  #whole: Uint8Array = this.#rest;

  /**
   * @param broken the error of a protocol other than this one, for what is cut short or too long
   * @param onBytes something came, if only part of a message
   */
  constructor(
    readable: ReadableStream<Uint8Array>,
    bodyBytesMax: number,
    broken: (why: string) => PeerloomError = violation,
    onBytes: () => void = () => {},
  ) {
    this.#reader = readable.getReader();
    this.#bodyBytesMax = bodyBytesMax;
    this.#violation = broken;
    this.#onBytes = onBytes;
  }

  /**
   * The next message; undefined at an orderly end.
   * @throws PeerloomError `files/protocol`, or why the stream failed
   */
  async next(): Promise<Message | undefined> {
    const head = new Uint8Array(HEAD_BYTES);
    const got = await this.#fill(head);
    if (got === 0) return undefined;
    if (got < HEAD_BYTES) throw this.#violation("cut short");
    const length = new DataView(head.buffer).getUint32(0);
    if (length > this.#bodyBytesMax) throw this.#violation(`a message of ${length} bytes`);
    const body = new Uint8Array(length);
    if ((await this.#fill(body)) < length) throw this.#violation("cut short");
    return { type: head[4] as number, body };
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }

  async #fill(into: Uint8Array): Promise<number> {
    let filled = 0;
    while (filled < into.length) {
      if (this.#rest.length === 0) {
        const { done, value } = await this.#reader.read();
        if (done) break;
        this.#onBytes();
        this.#rest = this.#whole = value;
      }
      const count = Math.min(this.#rest.length, into.length - filled);
      into.set(this.#rest.subarray(0, count), filled);
      this.#rest = this.#rest.subarray(count);
      if (this.#rest.length === 0) giveBack(this.#whole);
      filled += count;
    }
    return filled;
  }
}

export function violation(why: string): PeerloomError {
  return new PeerloomError("files/protocol", `The other side broke the files protocol: ${why}.`);
}

function readAddress(item: unknown): string {
  if (typeof item === "string") return item;
  throw new PeerloomError("wire/malformed", "Malformed address: not text.");
}
