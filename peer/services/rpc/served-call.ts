/** One call at the side that answers it: runs the method, streams what is to be streamed, answers once. */
import { PeerloomError } from "../../../shared/errors.ts";
import type { Clock, Timer } from "../../runtime.ts";
import type { Session, Stream } from "../../session/contract.ts";
import { OpenContext } from "./context.ts";
import { ReceivedItems, sendItems } from "./items.ts";
import { MessageReader, MessageWriter } from "./message-stream.ts";
import {
  type CallMessage,
  encodeFailure,
  encodeItemsHead,
  encodeResult,
  ITEMS_PROTOCOL,
  STREAMED,
} from "./protocol.ts";
import { type Failure, failureOf } from "./remote-error.ts";
import { isAsyncIterable } from "./remote.ts";

export type Method = (...args: readonly unknown[]) => unknown;

export interface ServedCallOptions {
  readonly message: CallMessage;
  readonly method: Method;
  readonly session: Session;
  /** Of the calls: named in each stream of items. */
  readonly stream: Stream;
  readonly writer: MessageWriter;
  readonly clock: Clock;
  /** There is no answer, and its time is over. */
  onTimeout(): void;
  /** An error that the caller is told nothing of. */
  onSilent(error: unknown): void;
}

export class ServedCall {
  readonly #options: ServedCallOptions;
  readonly #context: OpenContext;
  readonly #timer: Timer;
  readonly #arguments: ReceivedItems[] = [];
  #result: Stream | undefined;
  /** Answered, given up, or timed out: nothing more is said. */
  #isOver = false;

  constructor(options: ServedCallOptions) {
    this.#options = options;
    const { message, session, clock } = options;
    this.#context = new OpenContext(session.peerId);
    this.#timer = clock.setTimer(message.timeoutMs, () => options.onTimeout());
  }

  /** Resolves when the method has ended and its answer was taken. Never rejects. */
  async run(): Promise<void> {
    if (this.#isOver) return;
    const { message, method, writer } = this.#options;
    try {
      const args = message.args.includes(STREAMED) ? await this.#openArguments() : message.args;
      const value = await Reflect.apply(method, this.#context, args);
      if (isAsyncIterable(value)) await this.#stream(value);
      else this.#answer(encodeResult(message.id, value));
    } catch (error) {
      this.fail(error);
    }
    this.#end(undefined);
    await writer.room();
  }

  /** Tells the caller, unless it has its answer. */
  fail(error: unknown): void {
    this.#answer(encodeFailure(this.#options.message.id, this.#failureOf(error)));
  }

  /** Ends it without an answer. */
  abort(reason: PeerloomError): void {
    this.#context.abort(reason);
    this.#end(reason);
    this.#result?.reset("stream/cancelled");
  }

  #answer(message: Uint8Array): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.writer.send(message);
  }

  #end(reason: PeerloomError | undefined): void {
    this.#isOver = true;
    this.#timer.cancel();
    for (const items of this.#arguments) {
      items.fail(
        reason ?? new PeerloomError("stream/cancelled", "The call is over, and so is what it was sent."),
      );
    }
  }

  /** A stream each, opened before the method runs, so that its first item is under way. */
  async #openArguments(): Promise<unknown[]> {
    const opened: unknown[] = [];
    for (const [index, arg] of this.#options.message.args.entries()) {
      if (arg !== STREAMED) opened.push(arg);
      else {
        const { stream, writer } = await this.#openItems(index + 1);
        writer.close().catch(() => {}); // The reader hears of it.
        const items = new ReceivedItems(stream, new MessageReader(stream.readable), () => {});
        this.#arguments.push(items);
        opened.push(items);
      }
    }
    return opened;
  }

  async #stream(source: AsyncIterable<unknown>): Promise<void> {
    if (this.#isOver) return;
    const { stream, writer } = await this.#openItems(0);
    this.#result = stream;
    stream.readable.cancel().catch(() => {}); // Nothing comes this way.
    if (this.#isOver) {
      stream.reset("stream/cancelled");
      return;
    }
    this.#isOver = true; // The stream is the answer.
    this.#timer.cancel();
    await sendItems({
      source,
      writer,
      failureOf: (error) => this.#failureOf(error),
      onStopped: () => this.#context.abort(new PeerloomError("aborted", "The caller reads no more.")),
    });
  }

  async #openItems(slot: number): Promise<{ readonly stream: Stream; readonly writer: MessageWriter }> {
    const stream = await this.#options.session.open(ITEMS_PROTOCOL);
    const writer = new MessageWriter(stream.writable);
    writer.send(
      encodeItemsHead({ callsStreamId: this.#options.stream.id, callId: this.#options.message.id, slot }),
    );
    return { stream, writer };
  }

  #failureOf(error: unknown): Failure {
    const failure = failureOf(error);
    if (failure !== undefined) return failure;
    this.#options.onSilent(error);
    return { code: "rpc/failed", message: "The method failed. The log of the peer that serves it says why." };
  }
}
