/**
 * Calls between peers: `serve` offers the functions of an object under a name, `remote` is that object elsewhere. What the
 * two sides say to each other is protocol.ts.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import { type PeerId, requirePeerId } from "../../../shared/ids.ts";
import type { Session, Stream } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import { CalleeConnection, type CallOptions } from "./callee-connection.ts";
import type { CallContext } from "./context.ts";
import { MessageReader } from "./message-stream.ts";
import {
  callsProtocol,
  checkWhole,
  CONCURRENCY_MAX,
  METHOD_NAME_CHARACTERS_MAX,
  methodsOf,
  RPC_DEFAULTS,
  TIMEOUT_MS_MAX,
} from "./naming.ts";
import { ARGUMENTS_MAX, decodeItemsHead, ITEMS_PROTOCOL, violation } from "./protocol.ts";
import { type Remote, remote } from "./remote.ts";
import { Service } from "./service.ts";

/** A stream of items says by then which call it belongs to. */
const HEAD_TIMEOUT_MS = 10_000;

export interface RpcOptions {
  /**
   * The answer must have come by then, connecting included; both sides hold to it. A streamed result has begun by then and lasts as
   * long as it lasts. At most 86,400,000.
   * @default 30_000
   */
  readonly timeoutMs?: number;
  /** Gives up what is under way and aborts the method's own signal. */
  readonly signal?: AbortSignal;
}

export interface ServeOptions {
  /** Calls of one peer that run at once, at most 4,096; 1,024 more wait, and the next fails with `rpc/busy`. @default 64 */
  readonly concurrency?: number;
}

export class Rpc {
  readonly #host: ServiceHost;
  readonly #services = new Map<string, () => void>();
  readonly #connections = new Map<string, CalleeConnection>();
  /** By the session and the number of the stream of calls, as streams of items name them. */
  readonly #open = new WeakMap<Session, Map<number, CalleeConnection>>();
  readonly #stopItems: () => void;
  #isClosed = false;

  constructor(host: ServiceHost) {
    this.#host = host;
    this.#stopItems = host.handle(ITEMS_PROTOCOL, (stream, session) => this.#acceptItems(stream, session));
  }

  /**
   * Lets other peers call the functions of an object: its own, enumerable ones as they are now, nothing of a prototype. Inside,
   * `this` is the call's context (`this.from`, `this.signal`; write methods, not arrows, to use it). Arguments come from a stranger:
   * their types say what is meant, not what comes. Arguments, results and items are bytes, text or plain data of at most
   * 1 MiB; an async iterable, as a whole argument or result, is streamed. An error's `code` and `message` reach the caller.
   * A second object under the same name replaces the first.
   * @param name 1 to 100 bytes, with a version, e.g. "calc/1"
   * @returns serves it no longer; calls that run are aborted
   * @throws PeerloomError `usage/invalid`
   * @example
   * peer.serve("calc/1", { add: (a: number, b: number) => a + b });
   */
  serve(name: string, methods: object & ThisType<CallContext>, options: ServeOptions = {}): () => void {
    const { concurrency } = { ...RPC_DEFAULTS, ...options };
    checkWhole("concurrency", concurrency, CONCURRENCY_MAX);
    const { clock, log } = this.#host.runtime;
    const service = new Service({ name, methods: methodsOf(methods), concurrency, clock, log });
    const protocol = callsProtocol(name);
    this.#services.get(name)?.();
    const unhandle = this.#host.handle(protocol, (stream, session) => service.accept(stream, session));
    const stop = (): void => {
      unhandle();
      service.close();
      if (this.#services.get(name) === stop) this.#services.delete(name);
    };
    this.#services.set(name, stop);
    return stop;
  }

  /**
   * What another peer serves, as an object whose methods return promises, or async iterables where the served ones do. The first call
   * connects, and so does the next one after a connection was lost; a call under way then fails and is never repeated.
   * Options are those of each call; an object with others costs nothing.
   *
   * Calls throw PeerloomError `rpc/timeout`, `rpc/interrupted`, `rpc/not-served`, `rpc/unknown-method`, `rpc/busy`, `rpc/too-large`,
   * `rpc/invalid-value`, `rpc/failed`, `rpc/protocol`, `usage/invalid`, `aborted`, those of `connect`, or what the method threw: a
   * PeerloomError with its code, or a RemoteError with the application's.
   * @throws PeerloomError `id/invalid`, `usage/invalid`
   * @example
   * const calc = peer.rpc<Calc>(id, "calc/1", { timeoutMs: 5_000 });
   * const five = await calc.add(2, 3);
   * for await (const n of calc.count(10)) console.log(n);
   */
  remote<T>(id: string, name: string, options: RpcOptions = {}): Remote<T> {
    const peerId = requirePeerId(id);
    const { timeoutMs, signal } = { ...RPC_DEFAULTS, ...options };
    checkWhole("timeoutMs", timeoutMs, TIMEOUT_MS_MAX);
    callsProtocol(name);
    return remote<T>((method, args) => this.#call({ peerId, name, method, args }, { timeoutMs, signal }));
  }

  close(): void {
    this.#isClosed = true;
    for (const stop of [...this.#services.values()]) stop();
    for (const connection of [...this.#connections.values()]) connection.end(peerClosed());
    this.#stopItems();
  }

  async #call(
    what: {
      readonly peerId: PeerId;
      readonly name: string;
      readonly method: string;
      readonly args: readonly unknown[];
    },
    options: CallOptions,
  ): Promise<unknown> {
    const { peerId, name, method, args } = what;
    if (this.#isClosed) throw peerClosed();
    if (method.length > METHOD_NAME_CHARACTERS_MAX || !method.isWellFormed() || args.length > ARGUMENTS_MAX) {
      throw new PeerloomError(
        "usage/invalid",
        `A method's name has at most ${METHOD_NAME_CHARACTERS_MAX} characters, and a call at most ${ARGUMENTS_MAX} arguments.`,
      );
    }
    return this.#connection(peerId, name).call(method, args, options).answer;
  }

  #connection(peerId: PeerId, service: string): CalleeConnection {
    const key = `${peerId} ${service}`;
    const standing = this.#connections.get(key);
    if (standing?.isUsable === true) return standing;
    const connection = new CalleeConnection({
      host: this.#host,
      peerId,
      service,
      onOpen: ({ session, streamId }) => {
        if (session === undefined || streamId === undefined) return;
        const streams = this.#open.get(session) ?? new Map<number, CalleeConnection>();
        this.#open.set(session, streams.set(streamId, connection));
      },
      onOver: ({ session, streamId }) => {
        if (this.#connections.get(key) === connection) this.#connections.delete(key);
        if (session !== undefined && streamId !== undefined) this.#open.get(session)?.delete(streamId);
      },
    });
    this.#connections.set(key, connection);
    return connection;
  }

  /** The other side opened a stream for a call of this one. A rejection resets it. */
  async #acceptItems(stream: Stream, session: Session): Promise<void> {
    const timer = this.#host.runtime.clock.setTimer(HEAD_TIMEOUT_MS, () => stream.reset("link/timeout"));
    const reader = new MessageReader(stream.readable);
    let first: Uint8Array | undefined;
    try {
      first = await reader.first();
    } finally {
      timer.cancel();
    }
    if (first === undefined) throw violation("a stream of items without a head");
    const { callsStreamId, callId, slot } = decodeItemsHead(first);
    const connection = this.#open.get(session)?.get(callsStreamId);
    if (connection === undefined) throw new PeerloomError("stream/cancelled", "There is no such call.");
    connection.openItems(callId, slot, stream, reader);
  }
}

function peerClosed(): PeerloomError {
  return new PeerloomError("peer/closed", "This peer is closed.");
}
