/**
 * Topic messages on streams of sessions: one stream this way while there is something to say, one that way while the other side says something.
 * What waits to be written is bounded: a neighbour that reads too slowly misses messages, and catches up by what it is told later.
 */
import { toHex } from "../../../shared/bytes.ts";
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import { type PeerId, short } from "../../../shared/ids.ts";
import { FrameAssembler } from "../../links/frame-assembler.ts";
import type { Runtime, Timer } from "../../runtime.ts";
import type { Session, Stream } from "../../session/contract.ts";
import { MessageWriter, QUEUED_BYTES_MAX } from "../rpc/message-stream.ts";
import { type Envelope, MESSAGE_ID_BYTES, type MessageId } from "./envelope.ts";
import {
  decodeMessage,
  encodeMessage,
  MESSAGE_BYTES_MAX,
  TOPIC_PROTOCOL,
  type TopicMessage,
  violation,
} from "./protocol.ts";

/** Waiting for one neighbour; past the first no more published messages, past the second nothing: the stream ends. */
const WAITING_BYTES_MAX: number = 2 * 1024 * 1024;
const WAITING_WORDS_MAX: number = 3 * 1024 * 1024;
/** A stream on which nothing was said for so long ends, unless its neighbour belongs to a mesh. */
const IDLE_MS = 15_000;
/** Streams that one peer may have open to this one: the one that ends and its successor, and some to spare. */
const SERVED_MAX = 4;
/** Last messages reach a neighbour within this time, or do not. */
const CLOSE_MS = 1_500;

export interface TopicStreamsOptions {
  readonly runtime: Runtime;
  /** `id` of what was published; undefined for other messages. */
  onMessage(from: PeerId, message: TopicMessage, id: MessageId | undefined): void;
  /** Resolves when more may be read; undefined: it may. */
  room(from: PeerId, message: TopicMessage): Promise<void> | undefined;
  /** Whether anything of the peer is read at all. */
  isWelcome(id: PeerId): boolean;
  /** Whether the stream to it stays open though nothing is said. */
  isNear(id: PeerId): boolean;
  /** It says what is no message. */
  onViolation(from: PeerId): void;
  /** The stream to it broke while the session stands: what it was told is lost. */
  onBroken(session: Session): void;
  /** Nothing is said over the session any more. */
  onIdle(session: Session): void;
}

export class TopicStreams {
  readonly #options: TopicStreamsOptions;
  readonly #outlets = new Map<Session, Outlet>();
  readonly #served = new Map<Session, Set<Stream>>();
  /** They do not know the protocol. */
  readonly #deaf = new WeakSet<Session>();
  #encoded: { readonly envelope: Envelope; readonly bytes: Uint8Array } | undefined;
  /** Messages that did not go out since too much waited. */
  dropped = 0;

  constructor(options: TopicStreamsOptions) {
    this.#options = options;
  }

  /** @returns false: no room, or nobody to hear it */
  send(session: Session, message: TopicMessage): boolean {
    if (session.closed || this.#deaf.has(session)) return false;
    const outlet = this.#outlets.get(session) ?? this.#open(session);
    const isPublished = message.kind === "message" || message.kind === "past";
    if (outlet.waitingBytes > (isPublished ? WAITING_BYTES_MAX : WAITING_WORDS_MAX)) {
      this.dropped += 1;
      if (!isPublished) outlet.drop();
      return false;
    }
    outlet.send(this.#encode(message));
    return true;
  }

  /** Resolves when at least half of them have read on, or after so long. */
  async drained(sessions: readonly Session[], timeoutMs: number): Promise<void> {
    const full = sessions.filter(
      (session) => (this.#outlets.get(session)?.waitingBytes ?? 0) > QUEUED_BYTES_MAX,
    );
    let missing = full.length - Math.floor(sessions.length / 2);
    if (missing <= 0) return;
    const enough = Promise.withResolvers<void>();
    const timer = this.#options.runtime.clock.setTimer(timeoutMs, enough.resolve);
    for (const session of full)
      void this.#outlets
        .get(session)
        ?.room()
        .then(() => --missing === 0 && enough.resolve());
    await enough.promise;
    timer.cancel();
  }

  /** Reads what the other side says. @throws PeerloomError `stream/refused`, `topics/protocol`, or why the stream failed */
  async serve(stream: Stream, session: Session): Promise<void> {
    const { peerId } = session;
    const streams = this.#served.get(session) ?? new Set();
    if (!this.#options.isWelcome(peerId) || streams.size >= SERVED_MAX)
      throw new PeerloomError("stream/refused", "This peer does not listen.");
    streams.add(stream);
    this.#served.set(session, streams);
    stream.writable.close().catch(() => {});
    const reader = stream.readable.getReader();
    try {
      await this.#read(reader, peerId);
    } catch (error) {
      const known = toPeerloomError(error, "stream/reset", "The stream of a topic has failed.");
      if (known.code === "topics/protocol") this.#options.onViolation(peerId);
      throw known;
    } finally {
      reader.cancel().catch(() => {});
      streams.delete(stream);
      if (streams.size === 0) this.#served.delete(session);
    }
  }

  /** Neither hears nor tells it anything. */
  ban(session: Session): void {
    for (const stream of this.#served.get(session) ?? []) stream.reset("stream/refused");
    this.#outlets.get(session)?.drop();
  }

  forget(session: Session): void {
    this.#outlets.get(session)?.drop();
    this.#outlets.delete(session);
  }

  /** Says what is waiting, and ends. */
  async close(): Promise<void> {
    await Promise.all([...this.#outlets.values()].map((outlet) => outlet.close()));
    this.#outlets.clear();
    for (const streams of this.#served.values())
      for (const stream of streams) stream.reset("stream/cancelled");
  }

  #open(session: Session): Outlet {
    const { runtime, isNear, onBroken, onIdle } = this.#options;
    const outlet = new Outlet(runtime, session, {
      isNear: () => isNear(session.peerId),
      over: (error) => {
        if (this.#outlets.get(session) === outlet) this.#outlets.delete(session);
        if (error === undefined) onIdle(session);
        else if (error.code === "stream/no-handler") this.#deaf.add(session);
        else if (!session.closed) onBroken(session);
      },
    });
    this.#outlets.set(session, outlet);
    return outlet;
  }

  /** The same message goes to several neighbours in turn. */
  #encode(message: TopicMessage): Uint8Array {
    if (message.kind !== "message") return encodeMessage(message);
    if (this.#encoded?.envelope !== message.envelope)
      this.#encoded = { envelope: message.envelope, bytes: encodeMessage(message) };
    return this.#encoded.bytes;
  }

  async #read(reader: ReadableStreamDefaultReader<Uint8Array>, from: PeerId): Promise<void> {
    const { onMessage, room, runtime } = this.#options;
    const frames = new FrameAssembler(MESSAGE_BYTES_MAX);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const messages: TopicMessage[] = [];
      try {
        frames.add(value, (frame) => messages.push(decodeMessage(frame)));
      } catch (cause) {
        throw violation("a malformed message", cause);
      }
      for (const message of messages) {
        const wait = room(from, message);
        if (wait !== undefined) await wait;
        if (message.kind === "message" || message.kind === "past") {
          const hashed = runtime.hash.sha256(message.envelope.bytes);
          const digest = hashed instanceof Uint8Array ? hashed : await hashed;
          onMessage(from, message, messageId(digest));
        } else onMessage(from, message, undefined);
      }
    }
  }
}

export function messageId(digest: Uint8Array): MessageId {
  return toHex(digest.subarray(0, MESSAGE_ID_BYTES));
}

interface OutletDuties {
  isNear(): boolean;
  /** The stream has ended; `error` when nobody wanted it to. */
  over(error: PeerloomError | undefined): void;
}

/** What is said to one neighbour. */
class Outlet {
  readonly #runtime: Runtime;
  readonly #duties: OutletDuties;
  readonly #peerId: PeerId;
  #early: Uint8Array[] = [];
  #earlyBytes = 0;
  #stream: Stream | undefined;
  #writer: MessageWriter | undefined;
  #idleTimer: Timer | undefined;
  #saidAtMs = 0;
  #isOver = false;
  readonly #opened: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(runtime: Runtime, session: Session, duties: OutletDuties) {
    this.#runtime = runtime;
    this.#duties = duties;
    this.#peerId = session.peerId;
    void this.#open(session);
    this.#idleLater();
  }

  get waitingBytes(): number {
    return this.#earlyBytes + (this.#writer?.queuedBytes ?? 0);
  }

  send(message: Uint8Array): void {
    if (this.#isOver) return;
    this.#saidAtMs = this.#runtime.clock.monotonicMs();
    if (this.#writer !== undefined) this.#writer.send(message);
    else {
      this.#early.push(message);
      this.#earlyBytes += message.length;
    }
  }

  async room(): Promise<void> {
    await this.#writer?.room();
  }

  drop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#idleTimer?.cancel();
    this.#stream?.reset("stream/cancelled");
  }

  /** After what was said; a neighbour that does not read is not waited for. */
  async close(): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = this.#runtime.clock.setTimer(CLOSE_MS, late.resolve);
    const ended = (async () => {
      await this.#opened.promise;
      this.#isOver = true;
      this.#idleTimer?.cancel();
      await this.#writer?.close();
      await this.#stream?.closed;
    })().catch(() => {});
    await Promise.race([ended, late.promise]);
    timer.cancel();
    this.drop();
  }

  async #open(session: Session): Promise<void> {
    try {
      const stream = await session.open(TOPIC_PROTOCOL);
      this.#stream = stream;
      if (this.#isOver) {
        stream.reset("stream/cancelled");
        return;
      }
      this.#writer = new MessageWriter(stream.writable);
      for (const message of this.#early) this.#writer.send(message);
      this.#early = [];
      this.#earlyBytes = 0;
      this.#opened.resolve();
      await this.#writer.closed;
      if (!this.#isOver)
        this.#over(new PeerloomError("stream/reset", "The other side has ended the stream."));
    } catch (error) {
      if (!this.#isOver)
        this.#over(toPeerloomError(error, "stream/reset", "The stream of a topic has failed."));
    } finally {
      this.#opened.resolve();
    }
  }

  #over(error: PeerloomError | undefined): void {
    this.#isOver = true;
    this.#idleTimer?.cancel();
    if (error !== undefined)
      this.#runtime.log.debug("topic stream over", { peer: short(this.#peerId), code: error.code });
    this.#duties.over(error);
  }

  #idleLater(): void {
    this.#idleTimer = this.#runtime.clock.setTimer(IDLE_MS, () => {
      const isIdle =
        this.#runtime.clock.monotonicMs() - this.#saidAtMs >= IDLE_MS &&
        this.waitingBytes === 0 &&
        !this.#duties.isNear();
      if (!isIdle) {
        this.#idleLater();
        return;
      }
      this.#over(undefined);
      this.#writer?.close().catch(() => {});
    });
  }
}
