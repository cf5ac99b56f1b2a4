/**
 * `files/1`: one stream to one provider. Each message is a 4-byte length, a type byte and a body; chunk bytes follow raw.
 * The getter names the share first; the provider answers in the order it was asked.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import { CHUNKS_MAX, CONTENT_BYTES_MAX, HASH_BYTES } from "./merkle.ts";
import { MANIFEST_BYTES_MAX } from "./manifest.ts";

export const FILES_PROTOCOL = "files/1";

/** First byte of a message's body. */
export const MESSAGE = {
  /** Getter: hash (32). Answered by `manifest`. */
  open: 1,
  /** Provider: the manifest's bytes. */
  manifest: 2,
  /** Getter: nothing. Answered by `layer`. */
  layerWanted: 3,
  /** Provider: the hashes of all chunks. */
  layer: 4,
  /** Getter: index (4). Answered by `chunk`. */
  chunkWanted: 5,
  /** Provider: index (4), the chunk. */
  chunk: 6,
  /** Provider: an error code; nothing follows. */
  failure: 7,
} as const;

const HEAD_BYTES = 5;
export const INDEX_BYTES = 4;
/** What a getter says is short. */
export const REQUEST_BYTES_MAX: number = HASH_BYTES;
/** The longest answer: a manifest, or a chunk with its index. */
export const ANSWER_BYTES_MAX: number = Math.max(
  MANIFEST_BYTES_MAX,
  CONTENT_BYTES_MAX / CHUNKS_MAX + INDEX_BYTES,
);

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
export function shortMessage(type: number, body: Uint8Array): Uint8Array {
  const message = new Uint8Array(HEAD_BYTES + body.length);
  message.set(messageHead(type, body.length));
  message.set(body, HEAD_BYTES);
  return message;
}

export function indexBody(index: number): Uint8Array {
  const body = new Uint8Array(INDEX_BYTES);
  new DataView(body.buffer).setUint32(0, index);
  return body;
}

/** @throws PeerloomError `files/protocol` */
export function indexOf(body: Uint8Array): number {
  if (body.length < INDEX_BYTES) throw violation("an index is missing");
  return new DataView(body.buffer, body.byteOffset).getUint32(0);
}

/** Messages out of a stream's chunks, which come cut anyhow. */
export class MessageReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #bodyBytesMax: number;
  readonly #violation: (why: string) => PeerloomError;
  #rest: Uint8Array = new Uint8Array(0);

  /** @param broken the error of a protocol other than this one, for what is cut short or too long */
  constructor(
    readable: ReadableStream<Uint8Array>,
    bodyBytesMax: number,
    broken: (why: string) => PeerloomError = violation,
  ) {
    this.#reader = readable.getReader();
    this.#bodyBytesMax = bodyBytesMax;
    this.#violation = broken;
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
        this.#rest = value;
      }
      const count = Math.min(this.#rest.length, into.length - filled);
      into.set(this.#rest.subarray(0, count), filled);
      this.#rest = this.#rest.subarray(count);
      filled += count;
    }
    return filled;
  }
}

export function violation(why: string): PeerloomError {
  return new PeerloomError("files/protocol", `The other side broke the files protocol: ${why}.`);
}
