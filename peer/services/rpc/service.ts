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
import type { Method } from "./served-call.ts";

export interface ServiceOptions {
  readonly name: string;
  readonly methods: ReadonlyMap<string, Method>;
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
  readonly #callers = new Map<PeerId, Caller>();
  #closed = false;

  constructor(options: ServiceOptions) {
    this.#options = options;
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
      methods: this.#options.methods,
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
