/**
 * Topics: publish and subscribe among the peers of a network, without anybody in the middle. Here sessions, streams and topics are put together;
 * `gossip.ts` and `topic-mesh.ts` decide, `judge.ts` checks, `finder.ts` looks for others, `topic.ts` is what an application holds.
 */
import { toHex, utf8 } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { type PeerId, short } from "../../../shared/ids.ts";
import { backoffMs } from "../../overlay/backoff.ts";
import type { Timer } from "../../runtime.ts";
import type { Session } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import type { ProviderRecords } from "../files/discovery.ts";
import { type Envelope, topicIdOf, topicKeyInput } from "./envelope.ts";
import { Finder } from "./finder.ts";
import { Gossip } from "./gossip.ts";
import { Judge } from "./judge.ts";
import { TOPIC_PROTOCOL, type TopicMessage, TOPICS_MAX } from "./protocol.ts";
import { messageId, TopicStreams } from "./streams.ts";
import { Topic, type TopicLink } from "./topic.ts";
import { TOPIC_DEFAULTS, type TopicOptions, type TopicStatus } from "./topic-options.ts";

export const TOPIC_NAME_BYTES_MAX = 128;
/** A stream that broke while its session stands is opened again. */
const AGAIN = { firstMs: 1_000, maxMs: 60_000 } as const;

export interface TopicsContext {
  readonly host: ServiceHost;
  readonly records: ProviderRecords;
  /** A session that was made for a topic is not needed any more. */
  release(session: Session): void;
}

interface Joined {
  readonly judge: Judge;
  readonly finder: Finder;
}

export class Topics {
  readonly #context: TopicsContext;
  readonly #open = new Map<string, Topic>();
  readonly #joined = new Map<string, Joined>();
  readonly #sessions = new Map<PeerId, Session>();
  readonly #broken = new Map<PeerId, { count: number; timer: Timer | undefined }>();
  readonly #streams: TopicStreams;
  readonly #gossip: Gossip;
  readonly #stopServing: () => void;
  #isClosed = false;

  constructor(context: TopicsContext) {
    this.#context = context;
    const { host } = context;
    const { runtime } = host;
    this.#streams = new TopicStreams({
      runtime,
      onMessage: (from, message, id) => this.#gossip.received(from, message, id),
      room: (from, message) => this.#room(from, message),
      isWelcome: (id) => this.#gossip.isWelcome(id),
      isNear: (id) => this.#gossip.isNear(id),
      onViolation: (from) => this.#gossip.violated(from),
      onBroken: (session) => this.#again(session),
      onIdle: (session) => context.release(session),
    });
    this.#gossip = new Gossip({
      clock: runtime.clock,
      random: runtime.random,
      own: host.id,
      send: (to, message) => {
        const session = this.#sessions.get(to);
        return session !== undefined && this.#streams.send(session, message);
      },
      banned: (id) => {
        runtime.log.warn("topic neighbour banned", { peer: short(id) });
        const session = this.#sessions.get(id);
        if (session !== undefined) this.#streams.ban(session);
      },
    });
    this.#stopServing = host.handle(TOPIC_PROTOCOL, (stream, session) => {
      this.met(session);
      return this.#streams.serve(stream, session);
    });
  }

  /**
   * Joins a topic. It finds others by itself, and passes on what they publish until it is closed.
   * @param name 1 to 128 bytes
   * @throws PeerloomError `usage/invalid`, `peer/closed`
   */
  topic(name: string, options: TopicOptions = {}): Topic {
    const length = utf8(name).length;
    if (length === 0 || length > TOPIC_NAME_BYTES_MAX || !name.isWellFormed())
      throw new PeerloomError(
        "usage/invalid",
        `A topic's name has 1 to ${TOPIC_NAME_BYTES_MAX} bytes, not ${length}.`,
      );
    if (this.#isClosed) throw new PeerloomError("peer/closed", "This peer is closed.");
    if (this.#open.has(name))
      throw new PeerloomError(
        "usage/invalid",
        `This peer has the topic "${name}" open already: use the one it has.`,
      );
    if (this.#open.size >= TOPICS_MAX)
      throw new PeerloomError(
        "usage/invalid",
        `A peer has ${TOPICS_MAX} topics open at most: close one first.`,
      );
    const topic = new Topic({
      host: this.#context.host,
      name,
      options,
      join: (joining) => this.#join(joining, options),
      closing: () => this.#open.delete(name),
    });
    this.#open.set(name, topic);
    return topic;
  }

  /** A session has begun, or something is said over it. */
  met(session: Session): void {
    const { peerId } = session;
    if (this.#isClosed || session.closed || this.#sessions.get(peerId) === session) return;
    const former = this.#sessions.get(peerId);
    if (former !== undefined) this.#parted(former);
    this.#sessions.set(peerId, session);
    const over = new AbortController();
    const part = (): void => {
      over.abort();
      this.#parted(session);
    };
    // Messages go by others than one who is away; met again, it is told what it has missed.
    for (const event of ["close", "away"]) session.addEventListener(event, part, { signal: over.signal });
    this.#gossip.met(peerId);
  }

  status(): TopicStatus[] {
    return [...this.#open.values()].map((topic) => topic.status());
  }

  /** Leaves all topics. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#open.values()].map((topic) => topic.close()));
    this.#stopServing();
    this.#gossip.close();
    for (const { timer } of this.#broken.values()) timer?.cancel();
    await this.#streams.close();
  }

  async #join(topic: Topic, options: TopicOptions): Promise<TopicLink> {
    const { host, records, release } = this.#context;
    const { clock, log, hash } = host.runtime;
    const key = await hash.sha256(topicKeyInput(host.network, topic.name));
    const topicId = topicIdOf(key);
    const judge = new Judge({
      clock,
      log,
      topicKey: () => key,
      validate: ({ id, envelope, isPast }) => topic.validate(id, envelope, isPast),
    });
    const leaving = new AbortController();
    const rate = options.rate ?? TOPIC_DEFAULTS.rate;
    const mesh = this.#gossip.join({
      topic: topicId,
      rate,
      burst: rate,
      duties: {
        judge: (subject, done) => judge.take(subject, done),
        judgeReply: (reply, done) => void topic.isGenuine(reply).then(done),
        deliver: (id, envelope) => topic.deliver(id, envelope),
        withheld: (envelope) => topic.withheld(envelope),
        past: (id, envelope) => topic.past(id, envelope),
        pastOver: () => topic.pastOver(),
        replied: (reply) => topic.replied(reply),
        heard: (peers) => this.#joined.get(topicId)?.finder.heard(peers),
        changed: () => {
          topic.changed();
          this.#joined.get(topicId)?.finder.look();
        },
      },
    });
    const finder = new Finder({
      host,
      records,
      keyText: toHex(key),
      signal: leaving.signal,
      isSubscriber: (id) => mesh.isSubscriber(id),
      isWelcome: (id) => this.#gossip.isWelcome(id),
      subscriberCount: () => mesh.subscribers.length,
      release,
    });
    this.#joined.set(topicId, { judge, finder });
    return {
      key,
      mesh,
      id: (envelope) => this.#idOf(envelope),
      drained: (timeoutMs) => this.#streams.drained(this.#sessionsOf(mesh.meshed), timeoutMs),
      leave: async () => {
        leaving.abort(new PeerloomError("topics/closed", "The topic was closed."));
        this.#joined.delete(topicId);
        this.#gossip.leave(topicId);
      },
    };
  }

  /** Of a neighbour no more is read than is judged. */
  #room(from: PeerId, message: TopicMessage): Promise<void> | undefined {
    if (message.kind !== "message" && message.kind !== "past") return undefined;
    return this.#joined.get(message.envelope.topic)?.judge.room(from);
  }

  #parted(session: Session): void {
    this.#streams.forget(session);
    if (this.#sessions.get(session.peerId) !== session) return;
    this.#sessions.delete(session.peerId);
    this.#broken.get(session.peerId)?.timer?.cancel();
    this.#broken.delete(session.peerId);
    this.#gossip.gone(session.peerId);
  }

  /** What it was told before is lost with the stream: it is told again, as if it had just come. */
  #again(session: Session): void {
    const { clock, random } = this.#context.host.runtime;
    const broken = this.#broken.get(session.peerId) ?? { count: 0, timer: undefined };
    if (this.#isClosed || broken.timer !== undefined || this.#sessions.get(session.peerId) !== session)
      return;
    const delayMs = AGAIN.firstMs / 2 + backoffMs(broken.count++, random, AGAIN);
    broken.timer = clock.setTimer(delayMs, () => {
      broken.timer = undefined;
      if (this.#sessions.get(session.peerId) === session) this.#gossip.met(session.peerId);
    });
    this.#broken.set(session.peerId, broken);
  }

  #sessionsOf(ids: readonly PeerId[]): Session[] {
    return ids.flatMap((id) => this.#sessions.get(id) ?? []);
  }

  async #idOf(envelope: Envelope): Promise<string> {
    return messageId(await this.#context.host.runtime.hash.sha256(envelope.bytes));
  }
}
