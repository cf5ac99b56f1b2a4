/**
 * One served object. Its methods are taken down once, when it is served: own, enumerable functions and nothing that a
 * prototype has. Each calling peer has its share of running and waiting calls, which outlives its streams and sessions.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { Clock, Log } from "../../runtime.ts";
import type { Session, Stream } from "../../session/contract.ts";
import { CallerConnection } from "./caller-connection.ts";
import { CallQueue } from "./call-queue.ts";
import { METHOD_NAME_CHARACTERS_MAX } from "./protocol.ts";
import type { Method } from "./served-call.ts";

export interface ServiceOptions {
  readonly name: string;
  readonly methods: object;
  /** Calls of one peer that run at once. */
  readonly concurrency: number;
  readonly clock: Clock;
  readonly log: Log;
}

interface Caller {
  readonly queue: CallQueue;
  connection: CallerConnection | undefined;
}

export class Service {
  readonly #options: ServiceOptions;
  readonly #methods: ReadonlyMap<string, Method>;
  readonly #callers = new Map<PeerId, Caller>();
  #closed = false;

  /** @throws PeerloomError `usage/invalid` */
  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#methods = methodsOf(options.methods);
  }

  /** Serves one stream of calls until it ends. */
  async accept(stream: Stream, session: Session): Promise<void> {
    const { peerId } = session;
    if (this.#closed) throw new PeerloomError("stream/cancelled", "No longer served.");
    const { clock, log, name } = this.#options;
    let caller = this.#callers.get(peerId);
    if (caller === undefined) {
      caller = { queue: new CallQueue(this.#options.concurrency), connection: undefined };
      this.#callers.set(peerId, caller);
    }
    // A peer needs one; what it left behind is over.
    caller.connection?.end(new PeerloomError("stream/cancelled", "The caller opened another stream."));
    const connection = new CallerConnection({
      stream,
      session,
      methods: this.#methods,
      queue: caller.queue,
      clock,
      log,
      service: name,
    });
    caller.connection = connection;
    try {
      await connection.serve();
    } finally {
      if (caller.connection === connection) caller.connection = undefined;
      await caller.queue.idle();
      if (caller.connection === undefined && this.#callers.get(peerId) === caller)
        this.#callers.delete(peerId);
    }
  }

  /** Calls that run are aborted. */
  close(): void {
    this.#closed = true;
    const reason = new PeerloomError("stream/cancelled", "No longer served.");
    for (const { connection } of this.#callers.values()) connection?.end(reason);
  }
}

/** Names that a proxy cannot offer: promises, JSON and every object ask for them. */
export function isReserved(name: string): boolean {
  return name === "then" || name === "toJSON" || name in Object.prototype;
}

function methodsOf(served: object): ReadonlyMap<string, Method> {
  const methods = new Map<string, Method>();
  for (const [name, value] of Object.entries(served)) {
    if (typeof value !== "function") continue;
    if (isReserved(name) || name.length > METHOD_NAME_CHARACTERS_MAX || !name.isWellFormed()) {
      throw new PeerloomError(
        "usage/invalid",
        `"${name.slice(0, 80)}" cannot be called from elsewhere: give the method another name of at most ${METHOD_NAME_CHARACTERS_MAX} characters.`,
      );
    }
    methods.set(name, value as Method);
  }
  if (methods.size > 0) return methods;
  throw new PeerloomError(
    "usage/invalid",
    "There is nothing to call: serve an object whose own properties are functions. Methods of a class are its prototype's.",
  );
}
