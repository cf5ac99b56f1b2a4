/** The stream of one caller, at the side that answers: reads calls, lets them run in their turn, ends them with the stream. */
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import type { Clock, Log } from "../../runtime.ts";
import type { Session, Stream } from "../../session/contract.ts";
import type { CallQueue } from "./call-queue.ts";
import { MessageReader, MessageWriter } from "./message-stream.ts";
import {
  type CallMessage,
  busy,
  decodeCallerMessage,
  encodeFailure,
  timedOut,
  violation,
} from "./protocol.ts";
import { type Method, ServedCall } from "./served-call.ts";

export interface CallerConnectionOptions {
  readonly stream: Stream;
  readonly session: Session;
  readonly methods: ReadonlyMap<string, Method>;
  readonly queue: CallQueue;
  readonly clock: Clock;
  readonly log: Log;
  readonly service: string;
}

export class CallerConnection {
  readonly #options: CallerConnectionOptions;
  readonly #reader: MessageReader;
  readonly #writer: MessageWriter;
  readonly #calls = new Map<number, { readonly call: ServedCall; leaveQueue: () => void }>();
  #lastId = 0;

  constructor(options: CallerConnectionOptions) {
    this.#options = options;
    this.#reader = new MessageReader(options.stream.readable);
    this.#writer = new MessageWriter(options.stream.writable);
  }

  /** Resolves when the stream has ended; calls may still run then, aborted. */
  async serve(): Promise<void> {
    try {
      // Who takes no answers is read no further.
      while (await this.#reader.read((message) => this.#receive(message))) await this.#writer.room();
      this.#abandon(new PeerloomError("aborted", "The caller has left."));
      await this.#writer.close();
    } catch (error) {
      this.end(toPeerloomError(error, "stream/reset", "The caller's stream failed."));
    }
  }

  /** Ends the stream and every call. Twice is harmless. */
  end(reason: PeerloomError): void {
    this.#abandon(reason);
    this.#options.stream.reset(reason.code);
  }

  #abandon(reason: PeerloomError): void {
    for (const id of [...this.#calls.keys()]) this.#abort(id, reason);
  }

  #receive(bytes: Uint8Array): void {
    const message = decodeCallerMessage(bytes);
    if (message.kind === "cancel")
      this.#abort(message.id, new PeerloomError("aborted", "The caller gave up."));
    else this.#begin(message, bytes.length);
  }

  #begin(message: CallMessage, bytes: number): void {
    const { id } = message;
    if (id <= this.#lastId) throw violation("a call's number came twice");
    this.#lastId = id;
    const { methods, queue, service, session, stream, clock, log } = this.#options;
    const method = methods.get(message.method);
    if (method === undefined) {
      const text = `${service} has no method "${message.method}".`;
      this.#writer.send(encodeFailure(id, { code: "rpc/unknown-method", message: text }));
      return;
    }
    const call = new ServedCall({
      message,
      method,
      session,
      stream,
      writer: this.#writer,
      clock,
      onTimeout: () => this.#refuse(id, timedOut(message.timeoutMs)),
      onSilent: (error) =>
        log.warn("method failed", { service, method: message.method, error: String(error) }),
    });
    const entry = { call, leaveQueue: (): void => {} };
    this.#calls.set(id, entry);
    const leaveQueue = queue.enter(bytes, async () => {
      await call.run();
      this.#calls.delete(id);
    });
    if (leaveQueue !== undefined) entry.leaveQueue = leaveQueue;
    else this.#refuse(id, busy(service));
  }

  #refuse(id: number, error: PeerloomError): void {
    this.#calls.get(id)?.call.fail(error);
    this.#abort(id, error);
  }

  #abort(id: number, reason: PeerloomError): void {
    const entry = this.#calls.get(id);
    this.#calls.delete(id);
    entry?.leaveQueue();
    entry?.call.abort(reason);
  }
}
