/** One call at the side that makes it: waits for the answer, sends the arguments that are streamed, ends once. */
import { PeerloomError } from "../../../shared/errors.ts";
import type { Timer } from "../../runtime.ts";
import type { Stream } from "../../session/contract.ts";
import { ReceivedItems, sendItems } from "./items.ts";
import { type MessageReader, MessageWriter } from "./message-stream.ts";
import { failureOf } from "./remote-error.ts";
import { isAsyncIterable } from "./remote.ts";

export interface PendingCallOptions {
  readonly args: readonly unknown[];
  readonly timer: Timer;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
  /** It is over: answered, failed, or its last item has come. */
  onOver(): void;
}

export class PendingCall {
  readonly answer: Promise<unknown>;
  readonly #options: PendingCallOptions;
  readonly #sending = new Map<number, Stream>();
  #resolve!: (value: unknown) => void;
  #reject!: (error: unknown) => void;
  #items: ReceivedItems | undefined;
  #isOver = false;

  constructor(options: PendingCallOptions) {
    this.#options = options;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    options.signal?.addEventListener("abort", options.onAbort, { once: true });
  }

  /** The answer is one value. */
  settle(value: unknown): void {
    this.#resolve(value);
    this.#end();
  }

  fail(error: Error): void {
    this.#reject(error);
    this.#end();
    this.#items?.fail(error);
  }

  /**
   * A stream of items that the other side has opened for this call.
   * @throws PeerloomError `rpc/protocol`
   */
  open(slot: number, stream: Stream, reader: MessageReader): void {
    if (slot > 0) this.#sendArgument(slot, stream, reader);
    else if (this.#items === undefined) this.#receive(stream, reader);
    else throw new PeerloomError("rpc/protocol", "The other side answered a call twice.");
  }

  #receive(stream: Stream, reader: MessageReader): void {
    stream.writable.close().catch(() => {}); // Nothing goes this way.
    this.#options.timer.cancel();
    this.#items = new ReceivedItems(stream, reader, () => this.#end());
    this.#resolve(this.#items);
  }

  #sendArgument(slot: number, stream: Stream, reader: MessageReader): void {
    const source = this.#options.args[slot - 1];
    if (!isAsyncIterable(source) || this.#sending.has(slot)) {
      throw new PeerloomError("rpc/protocol", "The other side asked for an argument that is not streamed.");
    }
    this.#sending.set(slot, stream);
    reader.cancel();
    void sendItems({
      source,
      writer: new MessageWriter(stream.writable),
      failureOf: (error) =>
        failureOf(error) ?? { code: "rpc/failed", message: "What the caller streams has failed." },
      onStopped: () => {},
    });
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.timer.cancel();
    this.#options.signal?.removeEventListener("abort", this.#options.onAbort);
    for (const stream of this.#sending.values()) stream.reset("stream/cancelled");
    this.#options.onOver();
  }
}
