/** Values that came and were not read yet. They count until somebody takes them: a data channel cannot be told to wait. */
import { PeerloomError } from "../../shared/errors.ts";

/** Bytes that may be held, shared by those below it. */
export class Allowance {
  readonly #bytesMax: number;
  readonly #above: Allowance | undefined;
  #held = 0;
  #isClosed = false;

  /** @param above whose bound counts too */
  constructor(bytesMax: number, above?: Allowance) {
    this.#bytesMax = bytesMax;
    this.#above = above;
  }

  get held(): number {
    return this.#held;
  }

  /** False when that is too much; then nothing was taken. */
  take(bytes: number): boolean {
    if (this.#isClosed || this.#held + bytes > this.#bytesMax || this.#above?.take(bytes) === false)
      return false;
    this.#held += bytes;
    return true;
  }

  give(bytes: number): void {
    if (this.#isClosed) return;
    this.#held -= bytes;
    this.#above?.give(bytes);
  }

  /** Nothing more comes. What is held belongs to whoever still reads it, and is not counted any more. */
  close(): void {
    this.give(this.#held);
    this.#isClosed = true;
  }
}

interface Held {
  readonly value: unknown;
  readonly cost: number;
}

type Waiting = PromiseWithResolvers<IteratorResult<unknown, undefined>>;

export class ValueQueue {
  readonly #allowance: Allowance;
  #held: Held[] = [];
  /** Those before it were taken. */
  #first = 0;
  readonly #waiting: Waiting[] = [];
  #end: { readonly error: PeerloomError | undefined } | undefined;

  constructor(allowance: Allowance) {
    this.#allowance = allowance;
  }

  /** The cost was taken from the allowance, and goes back when the value is read. */
  push(value: unknown, cost: number): void {
    const reader = this.#waiting.shift();
    if (reader === undefined) this.#held.push({ value, cost });
    else {
      this.#allowance.give(cost);
      reader.resolve({ done: false, value });
    }
  }

  /** What was there before is still read; then comes the error, or the end. */
  end(error: PeerloomError | undefined): void {
    this.#end ??= { error };
    for (const reader of this.#waiting.splice(0)) this.#settle(reader, this.#end.error);
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    const held = this.#held[this.#first];
    if (held !== undefined) {
      this.#first += 1;
      if (this.#first * 2 > this.#held.length) {
        this.#held = this.#held.slice(this.#first);
        this.#first = 0;
      }
      this.#allowance.give(held.cost);
      return Promise.resolve({ done: false, value: held.value });
    }
    const reader: Waiting = Promise.withResolvers();
    if (this.#end === undefined) this.#waiting.push(reader);
    else this.#settle(reader, this.#end.error);
    return reader.promise;
  }

  #settle(reader: Waiting, error: PeerloomError | undefined): void {
    if (error === undefined) reader.resolve({ done: true, value: undefined });
    else reader.reject(error);
  }
}
