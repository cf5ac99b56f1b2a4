/**
 * Async iterables across a call, either way: one stream each. The producer is asked for its next item only while there is
 * room, and told to return as soon as nobody reads any more.
 */
import type { Stream } from "../../session/contract.ts";
import type { MessageReader, MessageWriter } from "./message-stream.ts";
import { decodeItem, encodeItem, encodeItemFailure, interrupted } from "./protocol.ts";
import { errorOf, type Failure } from "./remote-error.ts";

export interface ItemSource {
  readonly source: AsyncIterable<unknown>;
  readonly writer: MessageWriter;
  /** What the other side is told when the source fails. */
  failureOf(error: unknown): Failure;
  /** Nobody reads any more. */
  onStopped(): void;
}

/** Resolves when the source has ended, however it did, and all of it was taken. Never rejects. */
export async function sendItems({ source, writer, failureOf, onStopped }: ItemSource): Promise<void> {
  let iterator: AsyncIterator<unknown> | undefined;
  let isOver = false;
  let returned: Promise<unknown> | undefined;
  const giveUp = (): void => {
    isOver = true;
    returned ??= Promise.resolve(iterator?.return?.());
    returned.catch(() => {}); // Its last words are for nobody.
  };
  writer.closed.catch(() => {
    if (isOver) return;
    onStopped();
    giveUp();
  });
  try {
    iterator = source[Symbol.asyncIterator]();
    for (;;) {
      const next = await iterator.next();
      if (isOver || next.done === true) break;
      let message: Uint8Array;
      try {
        message = encodeItem(next.value);
      } catch (error) {
        giveUp();
        throw error;
      }
      writer.send(message);
      await writer.room();
    }
  } catch (error) {
    writer.send(encodeItemFailure(failureOf(error)));
  }
  isOver = true;
  await Promise.allSettled([writer.close(), returned]);
}

/** The items that come on a stream; once. Ends with `return()`, which stops the producer too. */
export class ReceivedItems implements AsyncIterableIterator<unknown> {
  readonly #stream: Stream;
  readonly #reader: MessageReader;
  readonly #items: AsyncGenerator<unknown>;
  readonly #onOver: () => void;
  #reason: Error | undefined;
  #isOver = false;

  /** @param onOver called once, when no item comes any more */
  constructor(stream: Stream, reader: MessageReader, onOver: () => void) {
    this.#stream = stream;
    this.#reader = reader;
    this.#onOver = onOver;
    this.#items = this.#read();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    return this.#items.next();
  }

  return(): Promise<IteratorResult<unknown, undefined>> {
    this.#end();
    return this.#items.return(undefined);
  }

  /** Ends it from outside; whoever iterates gets the reason. */
  fail(reason: Error): void {
    if (this.#isOver) return;
    this.#reason = reason;
    this.#stream.reset("stream/cancelled");
    this.#end();
  }

  async *#read(): AsyncGenerator<unknown, undefined> {
    try {
      for (let more = this.#reason === undefined; more;) {
        const items: unknown[] = [];
        const failures: Failure[] = [];
        try {
          more = await this.#reader.read((bytes) => {
            const message = decodeItem(bytes);
            if (message.kind === "item") items.push(message.value);
            else failures.push(message.failure);
          });
        } catch (error) {
          this.#reason ??= interrupted(error);
          more = false;
        }
        yield* items;
        for (const failure of failures) throw errorOf(failure);
      }
      if (this.#reason !== undefined) throw this.#reason;
    } finally {
      this.#end();
    }
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#reader.cancel();
    this.#onOver();
  }
}
