/**
 * All topics of one peer, and all neighbours: who is in what, what is thought of whom, and which topic a message belongs to. Free of
 * promises, streams and sessions, so that the simulator runs it.
 */
import type { PeerId } from "../../../shared/ids.ts";
import { Allowance } from "../../overlay/allowance.ts";
import type { Clock, Random } from "../../runtime.ts";
import type { MessageId, TopicId } from "./envelope.ts";
import { shuffled } from "./mesh-choice.ts";
import type { GossipNeighbour } from "./neighbour.ts";
import { PEERS_MAX, type TopicMessage, TOPICS_MAX } from "./protocol.ts";
import { BAN_MS, Score, SCORE_BAN } from "./score.ts";
import type { TopicDuties } from "./topic-duties.ts";
import { TopicMesh } from "./topic-mesh.ts";

/** What is thought of peers that are gone; past that of the one gone longest nothing is known any more. */
const SCORES_MAX = 1_024;
/** Messages of one neighbour that are no published ones: at once, and a second. Past that they are dropped, and cost it. */
const WORDS_BURST = 4_000;
const WORDS_PER_SECOND = 2_000;

/** No accident. */
const VIOLATION_WEIGHT = 3;

export interface GossipOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly own: PeerId;
  /** Never calls back during the call. @returns false: no room, or nobody there */
  send(to: PeerId, message: TopicMessage): boolean;
  /** It is not listened to any more. */
  banned(id: PeerId): void;
}

export interface JoinOptions {
  readonly topic: TopicId;
  readonly rate: number;
  readonly burst: number;
  readonly duties: TopicDuties;
}

export class Gossip {
  readonly #options: GossipOptions;
  readonly #neighbours = new Map<PeerId, GossipNeighbour>();
  readonly #topics = new Map<TopicId, TopicMesh>();
  readonly #scores = new Map<PeerId, Score>();

  constructor(options: GossipOptions) {
    this.#options = options;
  }

  get topics(): readonly TopicId[] {
    return [...this.#topics.keys()];
  }

  /** A topic is this peer's from now on; all neighbours are told. */
  join({ topic, rate, burst, duties }: JoinOptions): TopicMesh {
    const { clock, random, own, send } = this.#options;
    const mesh = new TopicMesh({
      clock,
      random,
      own,
      topic,
      rate,
      burst,
      duties,
      send,
      scored: (neighbour) => this.#scored(neighbour),
    });
    this.#topics.set(topic, mesh);
    for (const { id } of this.#neighbours.values())
      send(id, { kind: "interests", topics: [{ topic, on: true }] });
    const inIt = [...this.#neighbours.values()].filter(({ interests }) => interests.has(topic));
    if (inIt.length > 0) mesh.add(...inIt);
    return mesh;
  }

  leave(topic: TopicId): void {
    this.#topics.get(topic)?.close();
    if (!this.#topics.delete(topic)) return;
    for (const { id } of this.#neighbours.values())
      this.#options.send(id, { kind: "interests", topics: [{ topic, on: false }] });
  }

  /** Whether messages of the peer are heeded. */
  isWelcome(id: PeerId): boolean {
    return (
      (this.#scores.get(id)?.bannedUntilMs ?? Number.NEGATIVE_INFINITY) <= this.#options.clock.monotonicMs()
    );
  }

  /** A session has begun: the peer is told this peer's topics. */
  met(id: PeerId): void {
    this.#neighbour(id);
    const topics = this.topics.slice(0, TOPICS_MAX).map((topic) => ({ topic, on: true }));
    if (topics.length > 0) this.#options.send(id, { kind: "interests", topics });
  }

  /** Its session has ended. */
  gone(id: PeerId): void {
    if (!this.#neighbours.delete(id)) return;
    for (const mesh of this.#topics.values()) mesh.remove(id);
  }

  /** Whether a stream to it is worth keeping. */
  isNear(id: PeerId): boolean {
    return [...this.#topics.values()].some((mesh) => mesh.isInMesh(id));
  }

  scoreOf(id: PeerId): number {
    return this.#scores.get(id)?.value(this.#options.clock.monotonicMs()) ?? 0;
  }

  /** @param id of what was published, computed by the reader; ignored for other messages */
  received(from: PeerId, message: TopicMessage, id: MessageId | undefined): void {
    if (!this.isWelcome(from)) return;
    const neighbour = this.#neighbour(from);
    const isPublished = message.kind === "message" || message.kind === "past";
    const nowMs = this.#options.clock.monotonicMs();
    if (!isPublished && !neighbour.words.take(nowMs)) {
      neighbour.score.excess(nowMs);
      this.#scored(neighbour);
      return;
    }
    if (message.kind === "interests") {
      for (const { topic, on } of message.topics) this.#interested(neighbour, topic, on);
      return;
    }
    const topic = isPublished ? message.envelope.topic : message.topic;
    const mesh = this.#topics.get(topic);
    if (mesh !== undefined) act(mesh, neighbour, message, id);
    else if (message.kind === "graft")
      this.#options.send(from, { kind: "prune", topic, backoffMs: 0, peers: this.#othersIn(topic, from) });
  }

  /** It said what is no message of the protocol. */
  violated(from: PeerId): void {
    const neighbour = this.#neighbour(from);
    neighbour.score.invalid(this.#options.clock.monotonicMs(), VIOLATION_WEIGHT);
    this.#scored(neighbour);
  }

  close(): void {
    for (const mesh of this.#topics.values()) mesh.close();
    this.#topics.clear();
  }

  #interested(neighbour: GossipNeighbour, topic: TopicId, on: boolean): void {
    const mesh = this.#topics.get(topic);
    if (!on) {
      neighbour.interests.delete(topic);
      mesh?.remove(neighbour.id);
      return;
    }
    if (neighbour.interests.size >= TOPICS_MAX) return;
    // Whoever has just come in learns of others that this peer knows, also where it is not in the topic itself.
    const others = this.#othersIn(topic, neighbour.id);
    if (others.length > 0 && !neighbour.interests.has(topic))
      this.#options.send(neighbour.id, { kind: "peers", topic, peers: others });
    neighbour.interests.add(topic);
    mesh?.add(neighbour);
  }

  #othersIn(topic: TopicId, than: PeerId): PeerId[] {
    const others = [...this.#neighbours.values()].filter(
      ({ id, interests }) => id !== than && interests.has(topic),
    );
    return shuffled(others, this.#options.random)
      .slice(0, PEERS_MAX)
      .map(({ id }) => id);
  }

  #scored(neighbour: GossipNeighbour): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (neighbour.score.value(nowMs) >= SCORE_BAN || !this.isWelcome(neighbour.id)) return;
    neighbour.score.bannedUntilMs = nowMs + BAN_MS;
    this.gone(neighbour.id);
    this.#options.banned(neighbour.id);
  }

  #neighbour(id: PeerId): GossipNeighbour {
    const known = this.#neighbours.get(id);
    if (known !== undefined) return known;
    const nowMs = this.#options.clock.monotonicMs();
    const neighbour: GossipNeighbour = {
      id,
      score: this.#scoreFor(id, nowMs),
      interests: new Set(),
      words: new Allowance(WORDS_BURST, WORDS_PER_SECOND, nowMs),
    };
    this.#neighbours.set(id, neighbour);
    return neighbour;
  }

  #scoreFor(id: PeerId, nowMs: number): Score {
    const score = this.#scores.get(id) ?? new Score(nowMs);
    this.#scores.delete(id);
    this.#scores.set(id, score);
    if (this.#scores.size > SCORES_MAX) {
      for (const old of this.#scores.keys()) {
        if (this.#neighbours.has(old)) continue;
        this.#scores.delete(old);
        break;
      }
    }
    return score;
  }
}

function act(
  mesh: TopicMesh,
  from: GossipNeighbour,
  message: Exclude<TopicMessage, { kind: "interests" }>,
  id: MessageId | undefined,
): void {
  switch (message.kind) {
    case "graft":
      from.interests.add(message.topic);
      mesh.grafted(from);
      return;
    case "prune":
      mesh.pruned(from, message.backoffMs, message.peers);
      return;
    case "peers":
      mesh.heardOf(message.peers);
      return;
    case "message":
      if (id !== undefined) mesh.received(from, id, message.envelope);
      return;
    case "past":
      if (id !== undefined) mesh.pastReceived(from, id, message.envelope);
      return;
    case "have":
      mesh.told(from, message.publisher, message.ids, message.bytesMax);
      return;
    case "want":
      mesh.wanted(from, message.ids);
      return;
    case "follow":
      mesh.follow(from, message.publisher, message.on);
      return;
    case "pastWant":
      mesh.pastWanted(from, message.count);
      return;
    case "pastEnd":
      mesh.pastEnded(from);
      return;
    case "reply":
      mesh.reply(message, from);
  }
}
