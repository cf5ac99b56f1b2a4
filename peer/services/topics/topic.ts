/**
 * A topic as an application holds it: publish, read, ask, close. Every peer that has it open passes messages on for the others.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import { abortError } from "../../overlay/abort.ts";
import { Allowance } from "../../overlay/allowance.ts";
import { verify } from "../../identity/verify.ts";
import type { ServiceHost } from "../host.ts";
import { packValue, unpackValue } from "../plain-value.ts";
import {
  BODY_BYTES_MAX,
  type Envelope,
  type EnvelopeFields,
  type MessageId,
  sealEnvelope,
  topicIdOf,
} from "./envelope.ts";
import { Inbox } from "./inbox.ts";
import { requireVerdict } from "./judge.ts";
import { SenderOrder } from "./order.ts";
import { PastFirst } from "./past-first.ts";
import { type Reply, REPLY_BYTES_MAX, replySignedBytes } from "./protocol.ts";
import { ASK_MS_MAX, REPLIES_MAX } from "./asks.ts";
import { costOf } from "./rates.ts";
import type { Verdict } from "./topic-duties.ts";
import type { TopicMesh } from "./topic-mesh.ts";
import {
  ASK_DEFAULTS,
  type AskOptions,
  checkOptions,
  TOPIC_DEFAULTS,
  type TopicMessage,
  type TopicOptions,
  type TopicReply,
  type TopicStatus,
  type TopicValue,
} from "./topic-options.ts";

/** As long as half of the neighbours read too slowly, a publisher waits, but no longer than this. */
const DRAIN_MS = 5_000;
const ANSWERING_MAX = 64;

/** What a topic needs of the peer's other topics. */
export interface TopicLink {
  readonly key: Uint8Array;
  readonly mesh: TopicMesh;
  id(envelope: Envelope): Promise<MessageId>;
  /** Neighbours have read on. */
  drained(timeoutMs: number): Promise<void>;
  leave(): Promise<void>;
}

interface Delivery {
  readonly publisher: PeerId;
  readonly runMs: number;
  readonly seq: number;
  readonly message: TopicMessage;
  readonly bytes: number;
}

export interface TopicContext {
  readonly host: ServiceHost;
  readonly name: string;
  readonly options: TopicOptions;
  /** Resolves when the topic is joined. */
  join(topic: Topic): Promise<TopicLink>;
  /** The name is free again. */
  closing(): void;
}

/**
 * @example
 * const topic = peer.topic("news");
 * await topic.publish("hello");
 * for await (const { from, value } of topic) console.log(from, value);
 *
 * Event `peers`: those of the neighbours that are in the topic are others now.
 */
export class Topic extends EventTarget implements AsyncIterable<TopicMessage>, AsyncDisposable {
  readonly name: string;
  readonly #context: TopicContext;
  readonly #runMs: number;
  readonly #rate: Allowance;
  readonly #joined: Promise<TopicLink>;
  readonly #inboxes = new Set<Inbox<TopicMessage>>();
  /** What came before somebody began to read. */
  #first: Inbox<TopicMessage> | undefined;
  readonly #order: SenderOrder<Delivery> | undefined;
  readonly #messages = new WeakMap<Envelope, TopicMessage>();
  readonly #asking = new Map<MessageId, (reply: Reply) => void>();
  readonly #stop = new AbortController();
  readonly #past: PastFirst<Delivery>;
  #link: TopicLink | undefined;
  #seq = 0;
  #published = 0;
  #answering = 0;
  #lastPublished: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;
  #peersKnown = "";

  constructor(context: TopicContext) {
    super();
    const { host, name, options } = context;
    const { clock } = host.runtime;
    const { history, order, rate } = { ...TOPIC_DEFAULTS, ...options };
    checkOptions(history, rate);
    this.name = name;
    this.#context = context;
    this.#runMs = clock.nowMs();
    this.#rate = new Allowance(rate, rate, clock.monotonicMs());
    this.#first = new Inbox();
    if (order === "sender") {
      this.#order = new SenderOrder({
        clock,
        isAwaited: (publisher, announcedByMs) =>
          this.#link?.mesh.isAwaited(publisher, announcedByMs) ?? false,
        emit: (delivery) => this.#give(delivery),
      });
    }
    this.#past = new PastFirst(clock, history, (delivery) => {
      this.#order?.passed(delivery);
      this.#give(delivery);
    });
    this.#joined = context.join(this).then((link) => {
      this.#link = link;
      if (history > 0) link.mesh.wantPast(history);
      return link;
    });
    this.#joined.catch(() => {});
  }

  /** Neighbours that are in the topic: those that this peer has a session with, not all there are. */
  get peers(): readonly PeerId[] {
    return this.#link?.mesh.subscribers ?? [];
  }

  /** Messages that readers have missed: since they read too slowly, or since, in order, what was missing was passed over. */
  get missed(): number {
    const passedOver = this.#order?.missed ?? 0;
    return [...this.#inboxes].reduce(
      (sum, { missed }) => sum + missed,
      passedOver + (this.#first?.missed ?? 0),
    );
  }

  status(): TopicStatus {
    const { mesh } = this.#link ?? {};
    const {
      delivered = 0,
      duplicates = 0,
      stale = 0,
      throttled = 0,
      forged = 0,
      rejected = 0,
    } = mesh?.counters ?? {};
    return {
      name: this.name,
      peers: mesh?.subscribers.length ?? 0,
      mesh: mesh?.meshSize ?? 0,
      published: this.#published,
      delivered,
      duplicates,
      refused: stale + throttled + forged + rejected,
    };
  }

  /**
   * Signs a value and gives it to neighbours in the topic, who pass it on. Its own readers do not get it.
   * @param value bytes, text or plain data; 262,143 bytes at most
   * @returns how many neighbours it went to. 0: nobody is there; who comes within 3 s, or asks for the past, gets it all the same
   * @throws PeerloomError `topics/too-large`, `topics/refused` (by this peer's own `validate`), `usage/invalid`, `topics/closed`, `peer/closed`, `aborted`
   */
  async publish(value: TopicValue, options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    return (await this.#publish("value", value, options.signal)).peers;
  }

  /**
   * Asks all peers of the topic; those that have an `answer` say it. Ends when time is over, or with enough answers.
   * @throws PeerloomError, on the first step, as `publish`
   * @example
   * for await (const { from, value } of topic.ask("who is there?", { timeoutMs: 1_000 })) console.log(from, value);
   */
  async *ask(question: TopicValue, options: AskOptions = {}): AsyncGenerator<TopicReply, void, undefined> {
    const { timeoutMs, limit, signal } = { ...ASK_DEFAULTS, ...options };
    if (!(timeoutMs >= 1 && timeoutMs <= ASK_MS_MAX) || !Number.isSafeInteger(limit) || limit < 1)
      throw new PeerloomError(
        "usage/invalid",
        `A question waits 1 to ${ASK_MS_MAX} ms, for at least one answer.`,
      );
    const replies = new Inbox<TopicReply>();
    let left = Math.min(limit, REPLIES_MAX);
    const { clock } = this.#context.host.runtime;
    const timer = clock.setTimer(timeoutMs, () => replies.end());
    const abort = (): void => replies.end(signal && abortError(signal));
    const close = (): void => replies.end(abortError(this.#stop.signal));
    signal?.addEventListener("abort", abort, { once: true });
    this.#stop.signal.addEventListener("abort", close, { once: true });
    let asked: MessageId | undefined;
    try {
      const { id } = await this.#publish("ask", question, signal, (id) => {
        this.#asking.set(id, ({ replier, body }) => {
          const value = valueOf(body, REPLY_BYTES_MAX);
          if (value === undefined || left === 0) return;
          replies.add({ from: replier, value }, body.length);
          if (--left === 0) replies.end();
        });
      });
      asked = id;
      yield* replies;
    } finally {
      timer.cancel();
      signal?.removeEventListener("abort", abort);
      this.#stop.signal.removeEventListener("abort", close);
      if (asked !== undefined) this.#asking.delete(asked);
    }
  }

  /** Messages of others from now on; the first reader also gets what has come since the topic was opened. Ends when the topic is closed. */
  [Symbol.asyncIterator](): AsyncIterableIterator<TopicMessage, void> {
    const inbox = this.#first ?? new Inbox<TopicMessage>();
    if (this.#stop.signal.aborted) inbox.end();
    this.#first = undefined;
    this.#inboxes.add(inbox);
    inbox.onEnd = () => this.#inboxes.delete(inbox);
    return inbox;
  }

  /** Leaves the topic; what was published goes out before. Twice is harmless. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // --- what the mesh tells ---

  /** @internal */
  validate(id: MessageId, envelope: Envelope, isPast: boolean): Verdict | Promise<Verdict> {
    const message = this.#read(id, envelope, isPast);
    if (message === undefined) return "reject";
    const { validate } = this.#context.options;
    return validate === undefined ? "accept" : validate(message);
  }

  /** @internal */
  deliver(id: MessageId, envelope: Envelope): void {
    const message = this.#read(id, envelope, false);
    if (message === undefined) return;
    if (envelope.kind === "ask") {
      this.withheld(envelope);
      void this.#answer(message);
      return;
    }
    const delivery = deliveryOf(envelope, message);
    this.#past.after(() => (this.#order === undefined ? this.#give(delivery) : this.#order.add(delivery)));
  }

  /** @internal Its number is taken, and brings nothing. */
  withheld(envelope: Envelope): void {
    this.#past.after(() => this.#order?.none(envelope));
  }

  /** @internal */
  past(id: MessageId, envelope: Envelope): void {
    const message = this.#read(id, envelope, true);
    if (message !== undefined) this.#past.told(deliveryOf(envelope, message));
  }

  /** @internal */
  pastOver(): void {
    this.#past.over();
  }

  /** @internal */
  replied(reply: Reply): void {
    this.#asking.get(reply.ask)?.(reply);
  }

  /** @internal */
  async isGenuine({ replier, ask, body, signature }: Reply): Promise<boolean> {
    const { key } = await this.#joined;
    return verify(replier, replySignedBytes(key, ask, body), signature);
  }

  /** @internal */
  changed(): void {
    const known = this.peers.join();
    if (known === this.#peersKnown) return;
    this.#peersKnown = known;
    this.dispatchEvent(new Event("peers"));
  }

  // --- within ---

  async #publish(
    kind: EnvelopeFields["kind"],
    value: TopicValue,
    signal: AbortSignal | undefined,
    sealed: (id: MessageId) => void = () => {},
  ): Promise<{ readonly id: MessageId; readonly peers: number }> {
    const { host } = this.#context;
    const { clock } = host.runtime;
    host.requireAbility?.("publish");
    const body = packValue(value, "A topic's message");
    if (body.length > BODY_BYTES_MAX) {
      throw new PeerloomError(
        "topics/too-large",
        `A message of ${body.length - 1} bytes; ${BODY_BYTES_MAX - 1} are allowed. Share it as a file and publish the ticket.`,
      );
    }
    const within = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    if (within.aborted) throw abortError(within);
    const link = await this.#joined;
    const fields = { kind, publisher: host.id, runMs: this.#runMs, timeMs: clock.nowMs(), body };
    await this.#requireValid(fields);
    for (let waitMs = this.#rate.waitMs(clock.monotonicMs()); waitMs > 0;) {
      await clock.sleep(waitMs, within).catch(() => {});
      if (within.aborted) throw abortError(within);
      waitMs = this.#rate.waitMs(clock.monotonicMs());
    }
    if (within.aborted) throw abortError(within);
    this.#rate.spend(costOf(body.length));
    const sealing = sealEnvelope(link.key, { ...fields, timeMs: clock.nowMs(), seq: this.#seq++ }, (bytes) =>
      host.sign(bytes),
    ).then(async (envelope) => ({ envelope, id: await link.id(envelope) }));
    // Signatures are made side by side, and go out in their order.
    const before = this.#lastPublished;
    const going = before
      .then(() => sealing)
      .then(({ envelope, id }) => {
        sealed(id);
        this.#published += 1;
        return { id, peers: link.mesh.publish(id, envelope) };
      });
    this.#lastPublished = going.catch(() => {});
    const published = await going;
    await link.drained(DRAIN_MS);
    return published;
  }

  /** @throws PeerloomError `topics/refused`, `usage/invalid` */
  async #requireValid(fields: Omit<EnvelopeFields, "seq">): Promise<void> {
    const { validate } = this.#context.options;
    if (validate === undefined) return;
    const value = valueOf(fields.body, BODY_BYTES_MAX) as TopicValue;
    const { publisher: from, timeMs } = fields;
    const verdict = requireVerdict(await validate({ from, value, timeMs, id: "", isPast: false }));
    if (verdict === "accept") return;
    throw new PeerloomError("topics/refused", "This peer's own rule for the topic refuses the message.");
  }

  async #answer(question: TopicMessage): Promise<void> {
    const { host, options } = this.#context;
    if (options.answer === undefined || this.#answering >= ANSWERING_MAX) return;
    this.#answering += 1;
    try {
      const value = await options.answer(question);
      if (value === undefined || this.#stop.signal.aborted) return;
      const body = packValue(value, "An answer");
      if (body.length > REPLY_BYTES_MAX) {
        throw new PeerloomError(
          "topics/too-large",
          `An answer of ${body.length - 1} bytes; ${REPLY_BYTES_MAX - 1} are allowed.`,
        );
      }
      const { key, mesh } = await this.#joined;
      const signature = await host.sign(replySignedBytes(key, question.id, body));
      mesh.reply({ topic: topicIdOf(key), ask: question.id, replier: host.id, body, signature });
    } catch (error) {
      host.runtime.log.warn("topic question not answered", { topic: this.name, error: String(error) });
    } finally {
      this.#answering -= 1;
    }
  }

  /** Decoded once, however often it is looked at. Undefined: no value that this version knows. */
  #read(id: MessageId, envelope: Envelope, isPast: boolean): TopicMessage | undefined {
    const known = this.#messages.get(envelope);
    if (known !== undefined) return known;
    const { publisher: from, body, timeMs } = envelope;
    const value = valueOf(body, BODY_BYTES_MAX);
    if (value === undefined) return undefined;
    const message = { from, value, timeMs, id, isPast };
    this.#messages.set(envelope, message);
    return message;
  }

  #give({ message, bytes }: Delivery): void {
    this.#first?.add(message, bytes);
    for (const inbox of this.#inboxes) inbox.add(message, bytes);
  }

  async #close(): Promise<void> {
    this.#stop.abort(new PeerloomError("topics/closed", "The topic was closed."));
    this.#context.closing();
    this.#past.close();
    this.#order?.close();
    this.#first?.end();
    for (const inbox of this.#inboxes) inbox.end();
    await this.#lastPublished;
    await this.#joined.then(
      (link) => link.leave(),
      () => {},
    );
  }
}

/** Undefined: these bytes are no value that this version knows. */
function valueOf(body: Uint8Array, bytesMax: number): TopicValue | undefined {
  try {
    return unpackValue(body, bytesMax);
  } catch {
    return undefined;
  }
}

function deliveryOf({ publisher, runMs, seq, body }: Envelope, message: TopicMessage): Delivery {
  return { publisher, runMs, seq, message, bytes: body.length };
}
