/**
 * Messages on a stream, each behind its 4-byte length. Writing gathers: what is sent in one turn, or while a write is
 * under way, goes out together, which is what makes many small calls cheap.
 */
import { writeUint32 } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { FrameAssembler, LENGTH_BYTES } from "../../links/frame-assembler.ts";
import { MESSAGE_BYTES_MAX, violation } from "./protocol.ts";

/** Bytes waiting here past which senders that can wait do; as much again waits in the stream. */
export const QUEUED_BYTES_MAX: number = 64 * 1024;
/** Joined to one write; a longer message goes alone. */
const WRITE_BYTES_MAX: number = 64 * 1024;

export class MessageWriter {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #flushing = false;
  #failed = false;
  #waiters: (() => void)[] = [];

  constructor(writable: WritableStream<Uint8Array>) {
    this.#writer = writable.getWriter();
    // Who cares waits for it.
    this.#writer.closed.catch(() => {});
  }

  /** Resolves when all was taken and closed; rejects as soon as nobody reads any more, or the stream fails. */
  get closed(): Promise<void> {
    return this.#writer.closed;
  }

  /** Nothing can be written any more; known before those who wait for it are told. */
  get isOver(): boolean {
    return this.#writer.desiredSize === null;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Never waits, and says nothing of failures: the stream's reader hears of them. */
  send(message: Uint8Array): void {
    if (this.#failed) return;
    this.#queue.push(message);
    this.#queuedBytes += LENGTH_BYTES + message.length;
    if (!this.#flushing) {
      this.#flushing = true;
      void this.#flush();
    }
  }

  /** Resolves when no more than `QUEUED_BYTES_MAX` wait, or nothing can be sent any more. */
  async room(): Promise<void> {
    while (this.#queuedBytes > QUEUED_BYTES_MAX) await this.#progress();
  }

  /** After everything that was sent. @throws why the stream failed */
  async close(): Promise<void> {
    while (this.#flushing) await this.#progress();
    await this.#writer.close();
  }

  #progress(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  async #flush(): Promise<void> {
    await Promise.resolve();
    try {
      while (this.#queue.length > 0) {
        await this.#writer.write(this.#take());
        this.#wake();
      }
    } catch {
      this.#failed = true;
      this.#queue = [];
      this.#queuedBytes = 0;
    }
    this.#flushing = false;
    this.#wake();
  }

  #take(): Uint8Array {
    let count = 0;
    let length = 0;
    for (const message of this.#queue) {
      if (count > 0 && length + LENGTH_BYTES + message.length > WRITE_BYTES_MAX) break;
      length += LENGTH_BYTES + message.length;
      count += 1;
    }
    const joined = new Uint8Array(length);
    let offset = 0;
    for (const message of this.#queue.splice(0, count)) {
      writeUint32(joined, offset, message.length);
      joined.set(message, offset + LENGTH_BYTES);
      offset += LENGTH_BYTES + message.length;
    }
    this.#queuedBytes -= length;
    return joined;
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
  }
}

export class MessageReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #assembler = new FrameAssembler(MESSAGE_BYTES_MAX);
  /** Came together with the first. */
  #held: Uint8Array[] = [];

  constructor(readable: ReadableStream<Uint8Array>) {
    this.#reader = readable.getReader();
  }

  /** The first message alone; undefined when there is none. @throws as `read` */
  async first(): Promise<Uint8Array | undefined> {
    const messages: Uint8Array[] = [];
    while (messages.length === 0 && (await this.read((message) => messages.push(message.slice()))));
    this.#held = messages.slice(1);
    return messages[0];
  }

  /**
   * Reads on once and hands over what is complete then, maybe nothing; memory is valid during the call only.
   * @returns false at an orderly end
   * @throws PeerloomError `rpc/protocol` (from `each` too), or why the stream failed
   */
  async read(each: (message: Uint8Array) => void): Promise<boolean> {
    if (this.#held.length > 0) {
      for (const message of this.#held.splice(0)) each(message);
      return true;
    }
    const { done, value } = await this.#reader.read();
    if (done) return false;
    try {
      this.#assembler.add(value, each);
    } catch (error) {
      if (error instanceof PeerloomError && error.code === "rpc/protocol") throw error;
      throw violation("a message of no or of too many bytes", error);
    }
    return true;
  }

  /** Wants nothing more; a read under way ends. */
  cancel(): void {
    this.#reader.cancel().catch(() => {});
  }
}
