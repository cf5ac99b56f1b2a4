/** Connections of others, from the channel's opening until the application takes them; and candidates that came before their offer. */
import { PeerloomError } from "../../shared/errors.ts";
import type { RtcSignal } from "../runtime.ts";
import type { DataConnection } from "./data-connection.ts";
import { CANDIDATES_MAX, EARLY_MAX, UNTAKEN_MAX } from "./limits.ts";

type Reader = PromiseWithResolvers<IteratorResult<DataConnection, undefined>>;

/** Open connections that wait to be taken. One that ends meanwhile is taken too: what it brought can still be read. */
export class Arrivals {
  readonly #waiting: DataConnection[] = [];
  readonly #readers: Reader[] = [];
  #isOver = false;

  push(connection: DataConnection): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) reader.resolve({ done: false, value: connection });
    else if (this.#waiting.length < UNTAKEN_MAX) this.#waiting.push(connection);
    else connection.fail(new PeerloomError("link/too-many", "Nobody takes connections here."));
  }

  next(): Promise<IteratorResult<DataConnection, undefined>> {
    const value = this.#waiting.shift();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined });
    const reader: Reader = Promise.withResolvers();
    this.#readers.push(reader);
    return reader.promise;
  }

  end(): void {
    this.#isOver = true;
    this.#waiting.length = 0;
    for (const reader of this.#readers.splice(0)) reader.resolve({ done: true, value: undefined });
  }
}

/** By connection; the oldest is forgotten first. */
export class EarlyCandidates {
  readonly #known = new Map<string, RtcSignal[]>();

  add(key: string, signal: RtcSignal): void {
    const signals = this.#known.get(key) ?? [];
    if (signals.length < CANDIDATES_MAX) signals.push(signal);
    this.#known.set(key, signals);
    if (this.#known.size > EARLY_MAX) this.#known.delete(this.#known.keys().next().value ?? "");
  }

  take(key: string): readonly RtcSignal[] {
    const signals = this.#known.get(key) ?? [];
    this.#known.delete(key);
    return signals;
  }
}
