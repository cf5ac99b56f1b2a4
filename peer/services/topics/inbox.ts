/** What one reader of a topic has not read yet: an async iterator over a bounded queue. */
import { PeerloomError } from "../../../shared/errors.ts";

/** Unread by one reader; past either the oldest are left out, and counted. */
export const INBOX_MAX = 4_096;
export const INBOX_BYTES_MAX: number = 16 * 1024 * 1024;

export class Inbox<T> implements AsyncIterableIterator<T, void> {
  readonly #items: { readonly item: T; readonly bytes: number }[] = [];
  readonly #waiting: PromiseWithResolvers<IteratorResult<T, void>>[] = [];
  #bytes = 0;
  #isOver = false;
  #error: PeerloomError | undefined;
  /** Left out since nobody read them. */
  missed = 0;

  /** Its reader has gone. */
  onEnd: () => void = () => {};

  add(item: T, bytes: number): void {
    if (this.#isOver) return;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting.resolve({ done: false, value: item });
      return;
    }
    this.#items.push({ item, bytes });
    this.#bytes += bytes;
    while (this.#items.length > INBOX_MAX || this.#bytes > INBOX_BYTES_MAX) {
      this.#bytes -= this.#items.shift()?.bytes ?? 0;
      this.missed += 1;
    }
  }

  /** No more comes; what is unread may still be read. */
  end(error?: PeerloomError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error = error;
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (error === undefined) resolve({ done: true, value: undefined });
      else reject(error);
    }
  }

  async next(): Promise<IteratorResult<T, void>> {
    const first = this.#items.shift();
    if (first !== undefined) {
      this.#bytes -= first.bytes;
      return { done: false, value: first.item };
    }
    if (this.#error !== undefined) throw this.#error;
    if (this.#isOver) return { done: true, value: undefined };
    const waiting = Promise.withResolvers<IteratorResult<T, void>>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  async return(): Promise<IteratorResult<T, void>> {
    this.end();
    this.#items.length = 0;
    this.onEnd();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
