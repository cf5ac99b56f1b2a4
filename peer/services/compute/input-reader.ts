/** Inputs as an application gives them, one after the other: from a list, or from whatever makes them in its own time. */
import { utf8 } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { INPUT_BYTES_MAX } from "./protocol.ts";

export type TaskInput = Uint8Array | string;
export type TaskInputs = Iterable<TaskInput> | AsyncIterable<TaskInput>;

export class InputReader {
  readonly #iterator: Iterator<TaskInput> | AsyncIterator<TaskInput>;
  readonly #signal: AbortSignal;
  #count = 0;

  /** @param signal ends the reading, even while an input is waited for */
  constructor(inputs: TaskInputs, signal: AbortSignal) {
    this.#iterator =
      Symbol.asyncIterator in inputs ? inputs[Symbol.asyncIterator]() : inputs[Symbol.iterator]();
    this.#signal = signal;
  }

  /**
   * The next input, in memory of its own.
   * @returns undefined when there are no more, or the signal is aborted
   * @throws PeerloomError `usage/invalid`, `compute/too-large`
   */
  async next(): Promise<Uint8Array | undefined> {
    let next: IteratorResult<TaskInput> | undefined;
    try {
      if (!this.#signal.aborted) next = await this.#unlessStopped(this.#iterator.next());
    } catch (cause) {
      throw new PeerloomError("usage/invalid", `The inputs failed: ${String(cause)}`, { cause });
    }
    if (next?.done === true) return undefined;
    // Whoever makes inputs may wait for something itself, so nobody waits for its farewell.
    if (next === undefined) void Promise.resolve(this.#iterator.return?.()).catch(() => {});
    return next === undefined ? undefined : this.#checked(next.value);
  }

  #checked(input: unknown): Uint8Array {
    if (!(input instanceof Uint8Array) && typeof input !== "string")
      throw new PeerloomError("usage/invalid", "An input is a Uint8Array or a string.");
    // Its maker may use the memory again.
    const bytes = typeof input === "string" ? utf8(input) : Uint8Array.from(input);
    const index = this.#count++;
    if (bytes.length <= INPUT_BYTES_MAX) return bytes;
    throw new PeerloomError(
      "compute/too-large",
      `Input ${index} has ${bytes.length} bytes; ${INPUT_BYTES_MAX} are the most. Cut it into more tasks.`,
    );
  }

  #unlessStopped<T>(value: T | Promise<T>): T | Promise<T | undefined> {
    if (!(value instanceof Promise)) return value;
    return new Promise((resolve, reject) => {
      const stop = (): void => resolve(undefined);
      this.#signal.addEventListener("abort", stop, { once: true });
      void value.then(resolve, reject).finally(() => this.#signal.removeEventListener("abort", stop));
    });
  }
}
