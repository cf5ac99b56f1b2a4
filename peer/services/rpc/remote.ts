/** A served object as its callers see it: a proxy whose every method is a call. It holds nothing and costs nothing. */
import { PeerloomError } from "../../../shared/errors.ts";
import { isReserved } from "./naming.ts";

/** Items of a result that is streamed: iterate it at once, or await it first. Breaking out of the loop stops the producer. */
export type RemoteItems<T> = AsyncIterable<T> & Promise<AsyncIterable<T>>;

type RemoteResult<R> = Awaited<R> extends AsyncIterable<infer Item> ? RemoteItems<Item> : Promise<Awaited<R>>;

/** The methods of `T`, asynchronous. What is no function is not there. */
export type Remote<T> = {
  readonly [
    Name in keyof T as T[Name] extends (...args: never[]) => unknown ? Name : never
  ]: T[Name] extends (...args: infer Args) => infer Result ? (...args: Args) => RemoteResult<Result> : never;
};

/** @param call makes one call; its answer is one value, or an async iterable */
export function remote<T>(call: (method: string, args: readonly unknown[]) => Promise<unknown>): Remote<T> {
  const handler: ProxyHandler<object> = {
    get: (_, name) => {
      // `await`, JSON and consoles ask any object for these; a call would be a surprise.
      if (typeof name === "symbol" || isReserved(name)) return undefined;
      return (...args: readonly unknown[]) => iterable(call(name, args));
    },
    getPrototypeOf: () => null,
    set: () => false,
    defineProperty: () => false,
  };
  return new Proxy(Object.freeze(Object.create(null) as object), handler) as Remote<T>;
}

function iterable(answer: Promise<unknown>): Promise<unknown> & AsyncIterable<unknown> {
  return Object.assign(answer, { [Symbol.asyncIterator]: () => new LaterItems(answer) });
}

/** An iterator of what is still to come. */
class LaterItems implements AsyncIterator<unknown> {
  readonly #items: Promise<AsyncIterator<unknown>>;

  constructor(answer: Promise<unknown>) {
    this.#items = answer.then((value) => {
      if (isAsyncIterable(value)) return value[Symbol.asyncIterator]();
      throw new PeerloomError("rpc/invalid-value", "The method answered with one value: await it.");
    });
    this.#items.catch(() => {}); // `next` says it.
  }

  async next(): Promise<IteratorResult<unknown>> {
    return (await this.#items).next();
  }

  async return(): Promise<IteratorResult<unknown>> {
    return (await (await this.#items).return?.()) ?? { done: true, value: undefined };
  }
}

export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    Symbol.asyncIterator in value &&
    typeof value[Symbol.asyncIterator] === "function"
  );
}
