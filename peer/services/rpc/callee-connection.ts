/**
 * The stream to one service of one peer, at the side that calls: opened by the first call, used by all, closed when it has
 * been idle. It lives once; after it is over the next call makes another. No call is ever sent twice.
 */
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import { type PeerId, short } from "../../../shared/ids.ts";
import { abortError } from "../../overlay/abort.ts";
import type { Timer } from "../../runtime.ts";
import type { Session, Stream } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import { MessageReader, MessageWriter } from "./message-stream.ts";
import { PendingCall } from "./pending-call.ts";
import {
  busy,
  decodeCalleeMessage,
  encodeCall,
  encodeCancel,
  interrupted,
  STREAMED,
  timedOut,
  violation,
} from "./protocol.ts";
import { errorOf } from "./remote-error.ts";
import { callsProtocol } from "./naming.ts";
import { isAsyncIterable } from "./remote.ts";

/** Calls of this side under way to one service of one peer; past that `rpc/busy`. */
export const PENDING_MAX = 4_096;
/** Encoded calls that wait to be sent; past that `rpc/busy`. */
const UNSENT_BYTES_MAX: number = 16 * 1024 * 1024;
/** A stream without calls is kept so long: opening costs little, and an open one keeps the session. */
const IDLE_MS = 30_000;

export interface CallOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

export interface CalleeConnectionOptions {
  readonly host: ServiceHost;
  readonly peerId: PeerId;
  readonly service: string;
  /** The stream is there. */
  onOpen(connection: CalleeConnection): void;
  /** No call may begin here any more. */
  onOver(connection: CalleeConnection): void;
}

interface Open {
  readonly session: Session;
  readonly stream: Stream;
  readonly writer: MessageWriter;
  readonly reader: MessageReader;
}

export class CalleeConnection {
  readonly #options: CalleeConnectionOptions;
  readonly #calls = new Map<number, PendingCall>();
  /** Calls made before the stream was there. */
  readonly #unsent = new Map<number, Uint8Array>();
  readonly #opening = new AbortController();
  #unsentBytes = 0;
  #open: Open | undefined;
  #lastId = 0;
  #usedAtMs = 0;
  #idleTimer: Timer | undefined;
  #isOver = false;

  constructor(options: CalleeConnectionOptions) {
    this.#options = options;
    void this.#run();
  }

  get session(): Session | undefined {
    return this.#open?.session;
  }

  get streamId(): number | undefined {
    return this.#open?.stream.id;
  }

  /** Whether a call may begin here. */
  get isUsable(): boolean {
    const { session, writer } = this.#open ?? {};
    return !this.#isOver && session?.closed !== true && writer?.isOver !== true;
  }

  /** @throws PeerloomError `rpc/busy`, `rpc/invalid-value`, `rpc/too-large`, before anything is sent */
  call(method: string, args: readonly unknown[], { timeoutMs, signal }: CallOptions): PendingCall {
    if (signal?.aborted === true) throw abortError(signal);
    const { host, service } = this.#options;
    const queuedBytes = this.#open?.writer.queuedBytes ?? this.#unsentBytes;
    if (this.#calls.size >= PENDING_MAX || queuedBytes > UNSENT_BYTES_MAX) throw busy(service);
    const id = this.#lastId + 1;
    const message = encodeCall({
      id,
      timeoutMs,
      method,
      args: args.map((arg) => (isAsyncIterable(arg) ? STREAMED : arg)),
    });
    this.#lastId = id;
    const call = new PendingCall({
      args,
      timer: host.runtime.clock.setTimer(timeoutMs, () => this.#giveUp(id, timedOut(timeoutMs))),
      signal,
      onAbort: () => {
        if (signal !== undefined) this.#giveUp(id, abortError(signal));
      },
      onOver: () => this.#over(id),
    });
    this.#calls.set(id, call);
    if (this.#open !== undefined) this.#open.writer.send(message);
    else {
      this.#unsent.set(id, message);
      this.#unsentBytes += message.length;
    }
    return call;
  }

  /**
   * A stream of items that the other side opened for one of these calls.
   * @throws PeerloomError `rpc/protocol`, `stream/cancelled` when the call is over
   */
  openItems(callId: number, slot: number, stream: Stream, reader: MessageReader): void {
    const call = this.#calls.get(callId);
    if (call !== undefined) call.open(slot, stream, reader);
    else throw new PeerloomError("stream/cancelled", "That call is over.");
  }

  /** Every call fails. Twice is harmless. */
  end(error: PeerloomError): void {
    this.#opening.abort(error);
    this.#open?.stream.reset("stream/cancelled");
    this.#idleTimer?.cancel();
    if (!this.#isOver) {
      this.#isOver = true;
      this.#options.onOver(this);
    }
    for (const call of [...this.#calls.values()]) call.fail(error);
  }

  async #run(): Promise<void> {
    const { host, peerId, service } = this.#options;
    const { signal } = this.#opening;
    try {
      const session = await host.connect(peerId, { signal });
      // Small and waited for: before what is bulk.
      const stream = await session.open(callsProtocol(service), { signal, priority: "interactive" });
      this.#begin(session, stream);
    } catch (error) {
      this.end(toPeerloomError(error, "connect/no-path", `${short(peerId)} cannot be reached.`));
      return;
    }
    this.end(await this.#read());
  }

  #begin(session: Session, stream: Stream): void {
    const writer = new MessageWriter(stream.writable);
    this.#open = { session, stream, writer, reader: new MessageReader(stream.readable) };
    for (const message of this.#unsent.values()) writer.send(message);
    this.#unsent.clear();
    this.#options.onOpen(this);
    this.#watchIdle(IDLE_MS);
  }

  /** @returns what calls that are still under way fail with */
  async #read(): Promise<PeerloomError> {
    const { peerId, service } = this.#options;
    try {
      while (await this.#open?.reader.read((message) => this.#receive(message)));
      return interrupted(new PeerloomError("stream/cancelled", "The other side ended it."));
    } catch (error) {
      if (!(error instanceof PeerloomError)) return interrupted(error);
      if (error.code === "rpc/protocol") return error;
      if (error.code !== "stream/no-handler") return interrupted(error);
      return new PeerloomError("rpc/not-served", `${short(peerId)} does not serve "${service}".`);
    }
  }

  #receive(bytes: Uint8Array): void {
    const message = decodeCalleeMessage(bytes);
    if (message.id > this.#lastId) throw violation("an answer to a call that was never made");
    // Given up here while the answer was under way.
    const call = this.#calls.get(message.id);
    if (message.kind === "result") call?.settle(message.value);
    else call?.fail(errorOf(message.failure));
  }

  #giveUp(id: number, error: PeerloomError): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    if (!this.#unsent.has(id)) this.#open?.writer.send(encodeCancel(id));
    call.fail(error);
    // Nobody waits for a connection any more.
    if (this.#open === undefined && this.#calls.size === 0) this.end(error);
  }

  #over(id: number): void {
    this.#calls.delete(id);
    const message = this.#unsent.get(id);
    this.#unsentBytes -= message?.length ?? 0;
    this.#unsent.delete(id);
    this.#usedAtMs = this.#options.host.runtime.clock.monotonicMs();
  }

  /** One timer that looks again, not one a call. */
  #watchIdle(delayMs: number): void {
    const { clock } = this.#options.host.runtime;
    this.#idleTimer = clock.setTimer(delayMs, () => {
      const leftMs = this.#usedAtMs + IDLE_MS - clock.monotonicMs();
      if (this.#calls.size > 0) this.#watchIdle(IDLE_MS);
      else if (leftMs > 0) this.#watchIdle(leftMs);
      else this.#leave();
    });
  }

  #leave(): void {
    this.#isOver = true;
    this.#options.onOver(this);
    // The other side ends what it has, and reading ends with it.
    this.#open?.writer.close().then(
      () => this.#open?.reader.cancel(),
      () => {},
    );
  }
}
