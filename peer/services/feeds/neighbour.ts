/**
 * One peer that has the same feed, and the stream to it. What it says is parsed and handed on; what it asks for is answered one after the
 * other; what it is asked for has a deadline. Whether it says the truth is judged elsewhere.
 */
import type { ErrorCode } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import { Allowance } from "../../overlay/allowance.ts";
import type { Clock, Timer } from "../../runtime.ts";
import type { Session, Stream } from "../../session/contract.ts";
import type { MessageReader } from "../files/protocol.ts";
import { decodeMessage, encodeMessage, type FeedMessage, type HeadNotice, violation } from "./protocol.ts";
import type { Range } from "./range.ts";

/** Requests under way to one neighbour: 2 MiB when entries are large, 2,048 entries when they are small. */
export const REQUESTS_MAX = 8;
/** A neighbour that says nothing for so long while it owes an answer, or reads nothing while one is written, is dropped. */
export const ANSWER_TIMEOUT_MS = 8_000;
/** Requests a neighbour may have waiting here; an honest one has fewer. */
const WAITING_MAX = 4 * REQUESTS_MAX;
/** Heads are told at once, and then no more often than this: many entries make one message. */
const HEADS_EVERY_MS = 20;
/** Heads and proofs that a neighbour may bring: at once, and a second. Past that it is read the slower. */
const WORDS_BURST = 200;
const WORDS_PER_SECOND = 2_000 / HEADS_EVERY_MS;

/** What a neighbour needs to know of the feed. Each is called with one message at a time. */
export interface NeighbourDuties {
  notices(writers: Iterable<number>): readonly HeadNotice[];
  heads(from: Neighbour, heads: readonly HeadNotice[]): Promise<void>;
  fork(from: Neighbour, proof: Uint8Array): Promise<void>;
  serve(writer: number, from: number, count: number): Promise<Range | undefined>;
}

type Want = Extract<FeedMessage, { kind: "want" }>;

export interface NeighbourOptions {
  readonly clock: Clock;
  readonly session: Session;
  readonly stream: Stream;
  /** The same stream's, when its first message has been read. */
  readonly reader: MessageReader;
  readonly duties: NeighbourDuties;
  /** Whether this side opened the stream. */
  readonly isOutgoing: boolean;
}

export class Neighbour {
  readonly id: PeerId;
  readonly isOutgoing: boolean;
  /** What it says it has, by writer. */
  readonly told: Map<number, HeadNotice> = new Map();
  /** Up to where its log was found to be ours, though its head is another; by writer. */
  readonly agreed: Map<number, number> = new Map();
  readonly #clock: Clock;
  readonly #duties: NeighbourDuties;
  readonly #stream: Stream;
  readonly #reader: MessageReader;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #asked = new Map<number, { readonly count: number; done(range: Range | undefined): void }>();
  readonly #wants: Want[] = [];
  readonly #questions: FeedMessage[] = [];
  readonly #changed = new Set<number>();
  readonly #proofs = new Map<number, Uint8Array>();
  readonly #words: Allowance;
  #headsAtMs = -Infinity;
  #headsTimer: Timer | undefined;
  #answerTimer: Timer | undefined;
  #nextRequest = 1;
  #wake: () => void = () => {};
  #isOver = false;

  constructor({ clock, session, stream, reader, duties, isOutgoing }: NeighbourOptions) {
    this.id = session.peerId;
    this.isOutgoing = isOutgoing;
    this.#clock = clock;
    this.#duties = duties;
    this.#stream = stream;
    this.#reader = reader;
    this.#writer = stream.writable.getWriter();
    this.#writer.closed.catch(() => {});
    this.#words = new Allowance(WORDS_BURST, WORDS_PER_SECOND, clock.monotonicMs());
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Requests under way. */
  get owed(): number {
    return this.#asked.size;
  }

  /** Reads and writes until either side ends it. @throws PeerloomError why, when it was not orderly */
  async run(): Promise<void> {
    const sending = this.#send().catch(() => this.drop("stream/reset"));
    try {
      for (
        let message = await this.#reader.next();
        message !== undefined;
        message = await this.#reader.next()
      ) {
        await this.#take(decodeMessage(message.type, message.body));
      }
    } finally {
      this.drop("stream/cancelled");
      await sending;
    }
  }

  /** Ends the stream, and everything asked for with nothing. Twice is harmless. */
  drop(code: ErrorCode): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#headsTimer?.cancel();
    this.#answerTimer?.cancel();
    this.#stream.reset(code);
    for (const { done } of [...this.#asked.values()]) done(undefined);
    this.#asked.clear();
    this.#wake();
  }

  /** Asks for entries. @returns undefined when they are not there, or the neighbour is gone before it answers */
  request(writer: number, from: number, count: number): Promise<Range | undefined> {
    if (this.#isOver) return Promise.resolve(undefined);
    const request = this.#nextRequest++ >>> 0;
    return new Promise((resolve) => {
      this.#asked.set(request, { count, done: resolve });
      if (this.#answerTimer === undefined) this.#expectAnswer();
      this.#questions.push({ kind: "want", request, writer, from, count });
      this.#wake();
    });
  }

  /** The heads of these writers have changed. */
  tellHeads(writers: Iterable<number>): void {
    for (const writer of writers) this.#changed.add(writer);
    this.#wake();
  }

  tellFork(writer: number, proof: Uint8Array): void {
    this.#proofs.set(writer, proof);
    this.#wake();
  }

  async #take(message: FeedMessage): Promise<void> {
    switch (message.kind) {
      case "heads":
        await this.#spendWord();
        for (const notice of message.heads) this.told.set(notice.writer, notice);
        await this.#duties.heads(this, message.heads);
        return;
      case "fork":
        await this.#spendWord();
        await this.#duties.fork(this, message.proof);
        return;
      case "want":
        if (this.#wants.length >= WAITING_MAX) throw violation("too many requests at once");
        this.#wants.push(message);
        this.#wake();
        return;
      case "range":
        this.#answered(message.request, message.range);
        return;
      case "missing":
        this.#answered(message.request, undefined);
        return;
      case "definition": // Who opened the stream and knew the feed has no use for it.
        return;
      case "open":
      case "failure":
        throw violation(`${message.kind} in the middle`);
    }
  }

  #answered(request: number, range: Range | undefined): void {
    const asked = this.#asked.get(request);
    if (asked === undefined) throw violation("an answer to nothing");
    if (range !== undefined && range.entries.length > asked.count) throw violation("more than was asked for");
    this.#asked.delete(request);
    this.#expectAnswer();
    asked.done(range);
  }

  #expectAnswer(): void {
    this.#answerTimer?.cancel();
    this.#answerTimer =
      this.#asked.size === 0
        ? undefined
        : this.#clock.setTimer(ANSWER_TIMEOUT_MS, () => this.drop("link/timeout"));
  }

  async #spendWord(): Promise<void> {
    const waitMs = this.#words.waitMs(this.#clock.monotonicMs());
    if (waitMs > 0) await this.#clock.sleep(waitMs);
    this.#words.spend();
  }

  async #send(): Promise<void> {
    while (!this.#isOver) {
      // Made first: what comes while the next message is looked for must not be missed.
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const message = await this.#next();
      if (message === undefined) {
        if (!this.#isOver) await woken;
        continue;
      }
      const timer = this.#clock.setTimer(ANSWER_TIMEOUT_MS, () => this.drop("link/timeout"));
      try {
        await this.#writer.write(encodeMessage(message));
      } finally {
        timer.cancel();
      }
    }
  }

  /** Proofs before all, questions before answers: what is small and concerns many does not wait for what is large. */
  async #next(): Promise<FeedMessage | undefined> {
    for (const [writer, proof] of this.#proofs) {
      this.#proofs.delete(writer);
      return { kind: "fork", proof };
    }
    const question = this.#questions.shift();
    if (question !== undefined) return question;
    const heads = this.#takeHeads();
    if (heads !== undefined) return heads;
    const want = this.#wants.shift();
    if (want === undefined) return undefined;
    const range = await this.#duties.serve(want.writer, want.from, want.count);
    const { request } = want;
    return range === undefined ? { kind: "missing", request } : { kind: "range", request, range };
  }

  #takeHeads(): FeedMessage | undefined {
    if (this.#changed.size === 0 || this.#headsTimer !== undefined) return undefined;
    const nowMs = this.#clock.monotonicMs();
    const waitMs = this.#headsAtMs + HEADS_EVERY_MS - nowMs;
    if (waitMs > 0) {
      this.#headsTimer = this.#clock.setTimer(waitMs, () => {
        this.#headsTimer = undefined;
        this.#wake();
      });
      return undefined;
    }
    this.#headsAtMs = nowMs;
    const heads = this.#duties.notices(this.#changed);
    this.#changed.clear();
    return heads.length === 0 ? undefined : { kind: "heads", heads };
  }
}
