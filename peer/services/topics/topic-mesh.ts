/**
 * One topic at one peer: how a message goes on from here, among those that `members.ts` keeps. It judges nothing and holds no stream: both are
 * handed to it, so that the simulator runs the very same.
 */
import { assert } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { Clock, Random, Timer } from "../../runtime.ts";
import { Asks } from "./asks.ts";
import type { Envelope, MessageId, TopicId } from "./envelope.ts";
import { Members } from "./members.ts";
import { shuffled } from "./mesh-choice.ts";
import type { GossipNeighbour } from "./neighbour.ts";
import type { Reply, TopicMessage } from "./protocol.ts";
import { Past } from "./past.ts";
import { Pulls } from "./pulls.ts";
import { Rates, type RatesOptions } from "./rates.ts";
import { type Recent, RecentMessages } from "./recent.ts";
import { SCORE_GOSSIP } from "./score.ts";
import { FRESH_MS, Seen } from "./seen.ts";
import type { TopicDuties, Verdict } from "./topic-duties.ts";
import { Trees } from "./trees.ts";
import { Word } from "./word.ts";

export const HEARTBEAT_MS = 1_000;
/** Each heartbeat some of those outside of the mesh are told what came in this time: who is cut off from the mesh misses nothing. */
const GOSSIP_MS = 3_000;
const GOSSIP_SHARE = 0.25;
const GOSSIP_MIN = 6;
const GOSSIP_IDS_MAX = 64;
/** Word from outside of the mesh is slower than the mesh: what it tells of is about to come. */
const GOSSIP_PATIENCE_MS = 100;

export interface TopicMeshOptions extends RatesOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly own: PeerId;
  readonly topic: TopicId;
  readonly duties: TopicDuties;
  send(to: PeerId, message: TopicMessage): boolean;
  /** The score has fallen: whether something has to follow. */
  scored(neighbour: GossipNeighbour): void;
}

interface Judging {
  readonly from: PeerId;
  readonly publisher: PeerId;
  readonly sinceMs: number;
  readonly holders: Set<PeerId>;
}

export interface TopicCounters {
  delivered: number;
  duplicates: number;
  stale: number;
  throttled: number;
  forged: number;
  rejected: number;
  ignored: number;
  /** Without room to be judged. */
  crowded: number;
}

export class TopicMesh {
  readonly counters: TopicCounters = {
    delivered: 0,
    duplicates: 0,
    stale: 0,
    throttled: 0,
    forged: 0,
    rejected: 0,
    ignored: 0,
    crowded: 0,
  };
  readonly #options: TopicMeshOptions;
  readonly #members: Members;
  readonly #seen: Seen;
  readonly #recent = new RecentMessages();
  readonly #trees = new Trees();
  readonly #pulls: Pulls;
  readonly #asks: Asks;
  readonly #judging = new Map<MessageId, Judging>();
  readonly #rates: Rates;
  readonly #word: Word;
  readonly #past: Past;
  #heartbeat: Timer;
  #isClosed = false;

  constructor(options: TopicMeshOptions) {
    this.#options = options;
    const { clock, random } = options;
    this.#seen = new Seen(clock.monotonicMs());
    this.#asks = new Asks(clock);
    this.#rates = new Rates(options);
    const { topic, send, duties } = options;
    this.#members = new Members({
      clock,
      random,
      topic,
      send,
      entered: (id) => this.#tellRecent(id),
      left: (id) => this.#trees.forget(id),
      excess: (neighbour) => this.#excess(neighbour),
    });
    this.#word = new Word({ clock, topic, send });
    this.#past = new Past({ clock, topic, recent: this.#recent, send, over: () => duties.pastOver() });
    this.#pulls = new Pulls({
      clock,
      ask: (neighbour, ids) =>
        this.#members.subscribers.has(neighbour) &&
        this.#send(neighbour, { kind: "want", topic: options.topic, ids }),
      broken: (id) => {
        const neighbour = this.#members.subscribers.get(id);
        neighbour?.score.broken(clock.monotonicMs());
        if (neighbour !== undefined) options.scored(neighbour);
      },
    });
    this.#heartbeat = clock.setTimer(random.unit() * HEARTBEAT_MS, () => this.#beat());
  }

  get subscribers(): readonly PeerId[] {
    return [...this.#members.subscribers.keys()];
  }

  isSubscriber(id: PeerId): boolean {
    return this.#members.subscribers.has(id);
  }

  /** Neighbours in the mesh. */
  get meshed(): readonly PeerId[] {
    return [...this.#members.mesh.keys()];
  }

  get meshSize(): number {
    return this.#members.mesh.size;
  }

  isInMesh(id: PeerId): boolean {
    return this.#members.mesh.has(id);
  }

  // --- neighbours ---

  /** A neighbour is in the topic. */
  add(...neighbours: readonly GossipNeighbour[]): void {
    this.#members.add(neighbours);
    this.#past.ask(this.#members.subscribers.keys());
    this.#options.duties.changed();
  }

  /** A neighbour is gone, or has left the topic. */
  remove(id: PeerId): void {
    if (!this.#members.remove(id)) return;
    this.#word.forget(id);
    this.#pulls.gone(id);
    this.#past.forget(id);
    this.#members.balance();
    this.#options.duties.changed();
  }

  grafted(neighbour: GossipNeighbour): void {
    this.#members.grafted(neighbour);
    this.#options.duties.changed();
  }

  pruned(neighbour: GossipNeighbour, backoffMs: number, peers: readonly PeerId[]): void {
    this.#members.pruned(neighbour.id, backoffMs);
    this.#options.duties.heard(peers);
  }

  heardOf(peers: readonly PeerId[]): void {
    this.#options.duties.heard(peers);
  }

  close(): void {
    this.#isClosed = true;
    this.#members.close();
    this.#heartbeat.cancel();
    this.#word.close();
    this.#pulls.close();
  }

  // --- messages ---

  /** This peer's own. @returns neighbours that are given it */
  publish(id: MessageId, envelope: Envelope): number {
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#seen.add(id, envelope.timeMs, clock.nowMs(), nowMs);
    this.#trees.of(envelope.publisher).note(nowMs);
    if (envelope.kind === "ask") this.#asks.open(id, undefined);
    return this.#spread(this.#recent.add(id, envelope, nowMs, []));
  }

  received(from: GossipNeighbour, id: MessageId, envelope: Envelope): void {
    const { clock, own, duties } = this.#options;
    const { publisher, timeMs } = envelope;
    const nowMs = clock.monotonicMs();
    const wasAsked = this.#pulls.came(id, from.id);
    if (this.#seen.has(id) || this.#judging.has(id)) {
      this.#repeated(from, id, envelope, wasAsked);
      return;
    }
    if (publisher === own || !this.#seen.isFresh(timeMs, clock.nowMs())) {
      this.counters.stale += 1;
      return;
    }
    // Spent only when the signature is good: a forger must not use up what its victim may say, nor fill what is remembered.
    if (!this.#rates.allows(publisher, nowMs)) {
      this.counters.throttled += 1;
      if (from.id === publisher) this.#excess(from);
      return;
    }
    this.#judge(from, id, envelope);
    const subject = { from: from.id, id, envelope, isPast: false };
    const isTaken = duties.judge(subject, (verdict) => this.#judged(from, id, envelope, verdict));
    if (isTaken) return;
    this.counters.crowded += 1;
    this.#judging.delete(id);
  }

  told(from: GossipNeighbour, publisher: PeerId, ids: readonly MessageId[], bytesMax: number): void {
    if (publisher === this.#options.own || from.score.value(this.#options.clock.monotonicMs()) < SCORE_GOSSIP)
      return;
    const unknown = ids.filter((id) => {
      (this.#recent.get(id) ?? this.#judging.get(id))?.holders.add(from.id);
      return !this.#seen.has(id) && !this.#judging.has(id);
    });
    if (unknown.length === 0) return;
    const isMesh = this.isInMesh(from.id);
    const patienceMs = isMesh
      ? this.#trees.of(publisher).patienceMs(from.id, bytesMax)
      : GOSSIP_PATIENCE_MS + this.#trees.of(publisher).patienceMs(from.id, bytesMax);
    this.#pulls.told(from.id, publisher, unknown, bytesMax, patienceMs);
  }

  /** Whether a message of the publisher that a neighbour announced by then (monotonic, ms) is still to come, or is being judged. */
  isAwaited(publisher: PeerId, announcedByMs: number): boolean {
    if (this.#pulls.isAwaited(publisher, announcedByMs)) return true;
    return [...this.#judging.values()].some(
      (judging) => judging.publisher === publisher && judging.sinceMs <= announcedByMs,
    );
  }

  wanted(from: GossipNeighbour, ids: readonly MessageId[]): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (from.score.value(nowMs) < SCORE_GOSSIP) return;
    for (const id of ids) {
      const recent = this.#recent.serve(id, from.id);
      if (recent === undefined) continue;
      const { envelope } = recent;
      const tree = this.#trees.of(envelope.publisher);
      if (this.isInMesh(from.id) && tree.isTree(envelope.bytes.length, nowMs)) tree.follow(from.id, true);
      this.#send(from.id, { kind: "message", envelope });
    }
  }

  follow(from: GossipNeighbour, publisher: PeerId, on: boolean): void {
    if (this.isInMesh(from.id)) this.#trees.of(publisher).follow(from.id, on);
  }

  // --- the past ---

  /** Asks the next neighbours that there are for so many past messages. */
  wantPast(count: number): void {
    this.#past.want(count, this.#members.subscribers.keys());
  }

  pastWanted(from: GossipNeighbour, count: number): void {
    this.#past.give(from.id, count);
  }

  pastReceived(from: GossipNeighbour, id: MessageId, envelope: Envelope): void {
    const { clock, duties, own } = this.#options;
    if (!this.#past.takes(from.id) || this.#seen.has(id) || this.#judging.has(id)) return;
    if (envelope.timeMs > clock.nowMs() + FRESH_MS) return;
    this.#judge(from, id, envelope);
    this.#past.judging(1);
    const isTaken = duties.judge({ from: from.id, id, envelope, isPast: true }, (verdict) => {
      const judging = this.#judging.get(id);
      this.#judging.delete(id);
      if (this.#isClosed || judging === undefined) return;
      const nowMs = clock.monotonicMs();
      this.#seen.add(id, envelope.timeMs, clock.nowMs(), nowMs);
      if (verdict !== "accept") this.#blame(from, verdict);
      else {
        this.#recent.add(id, envelope, nowMs - GOSSIP_MS, judging.holders);
        if (envelope.kind === "value" && envelope.publisher !== own) duties.past(id, envelope);
      }
      this.#past.judging(-1);
    });
    if (isTaken) return;
    this.#judging.delete(id);
    this.#past.judging(-1);
  }

  pastEnded(from: GossipNeighbour): void {
    this.#past.ended(from.id);
  }

  // --- answers ---

  /** This peer's own answer to somebody's question, or one on its way. */
  reply(reply: Reply, from?: GossipNeighbour): void {
    const { duties } = this.#options;
    if (!this.#asks.expects(reply)) return;
    if (from === undefined) {
      this.#passReply(reply);
      return;
    }
    duties.judgeReply(reply, (isGenuine) => {
      if (isGenuine) this.#passReply(reply);
      else this.#blame(from, "forged");
    });
  }

  // --- within ---

  #judge(from: GossipNeighbour, id: MessageId, { publisher }: Envelope): void {
    const sinceMs = this.#options.clock.monotonicMs();
    this.#judging.set(id, { from: from.id, publisher, sinceMs, holders: new Set([from.id]) });
  }

  #judged(from: GossipNeighbour, id: MessageId, envelope: Envelope, verdict: Verdict | "forged"): void {
    const judging = this.#judging.get(id);
    this.#judging.delete(id);
    if (this.#isClosed) return;
    assert(judging !== undefined, "a message is judged once");
    const { clock, duties } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#seen.add(id, envelope.timeMs, clock.nowMs(), nowMs);
    if (verdict !== "forged") this.#rates.spend(envelope.publisher, envelope.bytes.length, nowMs);
    if (verdict !== "accept") {
      this.#blame(from, verdict);
      if (verdict !== "forged") duties.withheld(envelope);
      return;
    }
    this.counters.delivered += 1;
    from.score.first(nowMs);
    const tree = this.#trees.of(envelope.publisher);
    tree.note(nowMs);
    if (this.isInMesh(from.id)) tree.parent = from.id;
    if (envelope.kind === "ask") this.#asks.open(id, from.id);
    this.#spread(this.#recent.add(id, envelope, nowMs, judging.holders));
    duties.deliver(id, envelope);
  }

  /** It is here already. */
  #repeated(from: GossipNeighbour, id: MessageId, envelope: Envelope, wasAsked: boolean): void {
    this.counters.duplicates += 1;
    const { publisher, bytes } = envelope;
    const judging = this.#judging.get(id);
    (judging ?? this.#recent.get(id))?.holders.add(from.id);
    const tree = this.#trees.of(publisher);
    const parent = judging?.from ?? tree.parent;
    if (from.id === parent || wasAsked || !this.isInMesh(from.id)) return;
    if (tree.isTree(bytes.length, this.#options.clock.monotonicMs()))
      this.#send(from.id, { kind: "follow", topic: this.#options.topic, publisher, on: false });
  }

  #spread(recent: Recent): number {
    const { envelope, holders } = recent;
    const nowMs = this.#options.clock.monotonicMs();
    const tree = this.#trees.of(envelope.publisher);
    let given = 0;
    for (const to of this.#members.targets()) {
      if (holders.has(to) || to === envelope.publisher) continue;
      given += 1;
      const gear = tree.gear(to, envelope.bytes.length, nowMs);
      if (gear === "tell") this.#word.tell(to, [recent]);
      else if (gear === "tell-later") this.#word.tellLater(to, recent);
      else if (this.#send(to, { kind: "message", envelope })) holders.add(to);
      else this.#word.tellLater(to, recent);
    }
    return given;
  }

  #beat(): void {
    const { clock } = this.#options;
    this.#heartbeat = clock.setTimer(HEARTBEAT_MS, () => this.#beat());
    this.#asks.expire();
    this.#members.balance();
    this.#gossip(clock.monotonicMs());
    this.#options.duties.changed();
  }

  #gossip(nowMs: number): void {
    const recents = this.#recent.since(nowMs - GOSSIP_MS, GOSSIP_IDS_MAX);
    if (recents.length === 0) return;
    const outside = [...this.#members.subscribers.values()].filter(
      ({ id, score }) => !this.isInMesh(id) && score.value(nowMs) >= SCORE_GOSSIP,
    );
    const count = Math.max(GOSSIP_MIN, Math.ceil(outside.length * GOSSIP_SHARE));
    for (const { id } of shuffled(outside, this.#options.random).slice(0, count))
      this.#word.tell(id, recents);
  }

  /** What was said while the link was made. */
  #tellRecent(to: PeerId): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#word.tell(to, this.#recent.since(nowMs - GOSSIP_MS + 1, GOSSIP_IDS_MAX));
  }

  #passReply(reply: Reply): void {
    const way = this.#asks.pass(reply);
    if (way === undefined) return;
    if (way === "own") {
      this.#options.duties.replied(reply);
      return;
    }
    const holders = this.#recent.get(reply.ask)?.holders ?? [];
    const to = [way, ...holders].find((id) => this.#members.subscribers.has(id));
    if (to !== undefined) this.#send(to, { kind: "reply", ...reply });
  }

  #blame(from: GossipNeighbour, verdict: "ignore" | "reject" | "forged"): void {
    if (verdict === "ignore") {
      this.counters.ignored += 1;
      return;
    }
    if (verdict === "forged") this.counters.forged += 1;
    else this.counters.rejected += 1;
    from.score.invalid(this.#options.clock.monotonicMs(), verdict === "forged" ? 3 : 1);
    this.#options.scored(from);
  }

  #excess(neighbour: GossipNeighbour): void {
    neighbour.score.excess(this.#options.clock.monotonicMs());
    this.#options.scored(neighbour);
  }

  #send(to: PeerId, message: TopicMessage): boolean {
    return this.#options.send(to, message);
  }
}
