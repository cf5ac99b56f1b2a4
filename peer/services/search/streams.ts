/**
 * Questions, answers and digests on streams of sessions. A question has a stream of its own: what comes back, comes back along the way that the
 * question went, giving up is a reset that is passed on, and nothing is left when it has ended. Digests of neighbours live as long as their sessions.
 */
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import type { NetworkName, PeerId } from "../../../shared/ids.ts";
import { withDeadline } from "../../overlay/abort.ts";
import { Allowance } from "../../overlay/allowance.ts";
import type { Runtime } from "../../runtime.ts";
import type { Session, Stream } from "../../session/contract.ts";
import { Digest } from "./digest.ts";
import type { Reply } from "./flood.ts";
import { readHit } from "./hits.ts";
import {
  encodeMessage,
  HITS_PER_MESSAGE_MAX,
  type Query,
  QUERY_ID_BYTES,
  readMessages,
  SEARCH_PROTOCOL,
  violation,
} from "./protocol.ts";
import { settled } from "./way.ts";

/** Streams that are being answered; past that further ones are refused. */
const SERVED_MAX = 128;
/** Of one peer. */
const SERVED_PEER_MAX = 24;
/** Digests kept; past that the oldest makes room. */
const DIGESTS_MAX = 256;
/** Digests of one session: at once, and a second. */
const DIGEST_BURST = 10;
const DIGESTS_PER_SECOND = 0.5;
/** A digest that cannot be delivered by then is not. */
const PUSH_MS = 10_000;
/** Who opens a stream says at once what it is for. */
const FIRST_MESSAGE_MS = 10_000;

interface KnownDigest {
  readonly allowance: Allowance;
  digest: Digest | undefined;
}

export interface SearchStreamsOptions {
  readonly runtime: Runtime;
  readonly network: NetworkName;
  /** Somebody asks. @returns gives up */
  onQuery(from: PeerId, query: Query, reply: Reply): () => void;
}

export class SearchStreams {
  readonly #options: SearchStreamsOptions;
  readonly #digests = new Map<Session, KnownDigest>();
  readonly #closing = new AbortController();
  readonly #served = new Map<PeerId, number>();
  #servedCount = 0;

  constructor(options: SearchStreamsOptions) {
    this.#options = options;
  }

  /** The digest that a neighbour has sent; undefined: it has nothing, or has said nothing. */
  digestOf(session: Session): Digest | undefined {
    return this.#digests.get(session)?.digest;
  }

  /** Asks one peer. Replies come later, never during the call. @returns gives up */
  ask(session: Session, query: Query, reply: Reply): () => void {
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#closing.signal]);
    const asking = this.#ask(session, query, reply, signal);
    asking.then(
      (touched) => !signal.aborted && reply.end(touched),
      (error: unknown) => {
        if (signal.aborted) return;
        const { code } = toPeerloomError(error, "stream/reset", "Nobody answered.");
        this.#options.runtime.log.debug("search question not answered", { code });
        // Who never had it has touched nobody; of others nobody knows.
        reply.end(code === "stream/no-handler" || code.startsWith("session/") ? 0 : query.budget);
      },
    );
    return () => stop.abort(new PeerloomError("stream/cancelled", "No more is wanted."));
  }

  /** Asks one peer what it shares itself; what others share is not believed of it. Resolves when it has answered, or is given up. */
  async askItself(
    session: Session,
    question: Pick<Query, "words" | "limit" | "timeMs">,
    found: (tickets: readonly string[]) => unknown,
    signal: AbortSignal,
  ): Promise<void> {
    const { runtime, network } = this.#options;
    const query = { ...question, id: runtime.random.bytes(QUERY_ID_BYTES), ttl: 0, budget: 1 };
    const isOwn = (ticket: string): boolean =>
      readHit(ticket, network)?.providers.at(0)?.id === session.peerId;
    await settled(signal, (end) =>
      this.ask(session, query, { hits: (tickets) => void found(tickets.filter(isOwn)), end }),
    );
  }

  /** Tells a neighbour this peer's words. Never throws: it is told again when they change. */
  async push(session: Session, digest: Digest): Promise<void> {
    const { signal } = this.#closing;
    try {
      const stream = await session.open(SEARCH_PROTOCOL, { signal });
      await this.#within(stream, PUSH_MS, async () => {
        await say(stream, encodeMessage({ kind: "digest", bytes: digest.bytes }));
        await stream.closed;
      });
    } catch (error) {
      this.#options.runtime.log.debug("digest not delivered", { error: String(error) });
    }
  }

  /** Answers a stream. @throws PeerloomError `stream/refused`, `search/protocol` */
  async serve(stream: Stream, session: Session): Promise<void> {
    const { peerId } = session;
    const ofPeer = this.#served.get(peerId) ?? 0;
    if (this.#servedCount >= SERVED_MAX || ofPeer >= SERVED_PEER_MAX)
      throw new PeerloomError("stream/refused", "Too many questions at once.");
    this.#count(peerId, 1);
    const messages = readMessages(stream.readable);
    try {
      const first = await this.#within(stream, FIRST_MESSAGE_MS, async () => (await messages.next()).value);
      if (first?.kind === "query") await this.#answer(stream, session, first.query);
      else if (first?.kind === "digest") {
        this.#know(session, first.bytes);
        await stream.writable.close();
      } else throw violation("neither a question nor a digest");
    } finally {
      this.#count(peerId, -1);
      await messages.return(undefined);
    }
  }

  close(): void {
    this.#closing.abort(new PeerloomError("peer/closed", "This peer is closing."));
    this.#digests.clear();
  }

  async #ask(session: Session, query: Query, reply: Reply, signal: AbortSignal): Promise<number> {
    const stream = await session.open(SEARCH_PROTOCOL, { signal });
    const touched = async (): Promise<number> => {
      await say(stream, encodeMessage({ kind: "query", query }));
      let left = query.limit;
      for await (const message of readMessages(stream.readable)) {
        if (message.kind === "end") return Math.min(message.touched, query.budget);
        if (message.kind !== "hits") throw violation("an answer that is none");
        left -= message.tickets.length;
        if (left < 0) throw violation("more hits than were asked for");
        if (!signal.aborted) reply.hits(message.tickets);
      }
      throw violation("it ended early");
    };
    return this.#within(stream, query.timeMs, touched, signal);
  }

  /** Resets the stream when it takes too long, fails, or is given up. */
  async #within<T>(
    stream: Stream,
    timeoutMs: number,
    use: () => Promise<T>,
    signal: AbortSignal = this.#closing.signal,
  ): Promise<T> {
    const drop = (): void => stream.reset("stream/cancelled");
    return withDeadline(this.#options.runtime.clock, timeoutMs, signal, async (within) => {
      within.addEventListener("abort", drop, { once: true });
      try {
        return await use();
      } catch (error) {
        drop();
        throw error;
      } finally {
        within.removeEventListener("abort", drop);
      }
    });
  }

  #answer(stream: Stream, session: Session, query: Query): Promise<void> {
    const writer = stream.writable.getWriter();
    let last: Promise<void> = Promise.resolve();
    const write = (message: Parameters<typeof encodeMessage>[0]): void => {
      last = last.then(() => writer.write(encodeMessage(message)));
      last.catch(() => {}); // The asker has given up; `closed` says so.
    };
    return new Promise((resolve, reject) => {
      const stop = this.#options.onQuery(session.peerId, query, {
        hits: (tickets) => {
          for (let i = 0; i < tickets.length; i += HITS_PER_MESSAGE_MAX)
            write({ kind: "hits", tickets: tickets.slice(i, i + HITS_PER_MESSAGE_MAX) });
        },
        end: (touched) => {
          write({ kind: "end", touched });
          last.then(() => writer.close()).then(resolve, reject);
        },
      });
      void stream.closed.then(() => {
        stop();
        resolve();
      });
    });
  }

  #count(peerId: PeerId, change: 1 | -1): void {
    this.#servedCount += change;
    const left = (this.#served.get(peerId) ?? 0) + change;
    if (left === 0) this.#served.delete(peerId);
    else this.#served.set(peerId, left);
  }

  #know(session: Session, bytes: Uint8Array): void {
    const nowMs = this.#options.runtime.clock.monotonicMs();
    let known = this.#digests.get(session);
    if (known === undefined) {
      if (session.closed) return;
      known = { allowance: new Allowance(DIGEST_BURST, DIGESTS_PER_SECOND, nowMs), digest: undefined };
      this.#digests.set(session, known);
      session.addEventListener("close", () => this.#digests.delete(session), { once: true });
      if (this.#digests.size > DIGESTS_MAX)
        this.#digests.delete(this.#digests.keys().next().value as Session);
    }
    if (known.allowance.take(nowMs)) known.digest = Digest.read(bytes);
  }
}

/** One message, and no more this way. */
async function say(stream: Stream, message: Uint8Array): Promise<void> {
  const writer = stream.writable.getWriter();
  await writer.write(message);
  await writer.close();
}
