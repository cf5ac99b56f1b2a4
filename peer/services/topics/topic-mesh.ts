/**
 * One topic at one peer: which neighbours are in it, which of them form its mesh, and how a message goes on from here. It judges nothing
 * and holds no stream: both are handed to it, so that the simulator runs the very same.
 */
import { assert } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import { Allowance } from "../../overlay/allowance.ts";
import type { Clock, Random, Timer } from "../../runtime.ts";
import { Asks } from "./asks.ts";
import type { Envelope, MessageId, TopicId } from "./envelope.ts";
import { chooseMesh, FULL_MESH_MAX, MESH_MAX, MESH_WANTED, shuffled } from "./mesh-choice.ts";
import type { GossipNeighbour } from "./neighbour.ts";
import { PEERS_MAX, type Reply, type TopicMessage } from "./protocol.ts";
import { Past } from "./past.ts";
import { Pulls } from "./pulls.ts";
import { type Recent, RecentMessages } from "./recent.ts";
import { SCORE_GOSSIP } from "./score.ts";
import { FRESH_MS, Seen } from "./seen.ts";
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
/** Who was pruned, or has pruned, is left alone for so long. */
const AWAY_MS = 60_000;
/** Publishers whose rate is known; past that the one heard of longest ago begins anew. */
const PUBLISHERS_MAX = 1_024;
/** A message counts once more for each so many bytes. */
const RATE_BYTES = 4_096;
/** Others are allowed this many times what this peer allows itself, since their clocks and ways differ. */
const RATE_TOLERANCE = 2;

export type Verdict = "accept" | "ignore" | "reject";

/** What the mesh asks of whoever uses the topic. */
export interface TopicDuties {
  /** Decides, maybe later. @returns false: no room to decide; nothing is said then */
  judge(subject: JudgeSubject, done: (verdict: Verdict | "forged") => void): boolean;
  /** Whether its replier signed it. */
  judgeReply(reply: Reply, done: (isGenuine: boolean) => void): void;
  deliver(id: MessageId, envelope: Envelope): void;
  /** A past message, wherever it belongs among the others. */
  past(id: MessageId, envelope: Envelope): void;
  /** Those asked for the past have answered, or are gone. */
  pastOver(): void;
  /** An answer to this peer's own question. */
  replied(reply: Reply): void;
  /** Peers that may be in the topic. */
  heard(peers: readonly PeerId[]): void;
  /** Neighbours have come or gone; more may be wanted. */
  changed(): void;
}

/** A message that is to be judged, and the neighbour that brought it. */
export interface JudgeSubject {
  readonly from: PeerId;
  readonly id: MessageId;
  readonly envelope: Envelope;
  readonly isPast: boolean;
}

export interface TopicMeshOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly own: PeerId;
  readonly topic: TopicId;
  /** Messages a second of one publisher, for long, and at once. */
  readonly rate: number;
  readonly burst: number;
  readonly duties: TopicDuties;
  send(to: PeerId, message: TopicMessage): boolean;
  /** The score has fallen: whether something has to follow. */
  scored(neighbour: GossipNeighbour): void;
}

interface Member {
  readonly neighbour: GossipNeighbour;
  readonly isOwn: boolean;
}

interface Judging {
  readonly from: PeerId;
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
  readonly #subscribers = new Map<PeerId, GossipNeighbour>();
  readonly #mesh = new Map<PeerId, Member>();
  readonly #away = new Map<PeerId, number>();
  readonly #seen: Seen;
  readonly #recent = new RecentMessages();
  readonly #trees = new Trees();
  readonly #pulls: Pulls;
  readonly #asks: Asks;
  readonly #judging = new Map<MessageId, Judging>();
  readonly #rates = new Map<PeerId, Allowance>();
  readonly #word: Word;
  readonly #past: Past;
  #heartbeat: Timer;
  #isClosed = false;

  constructor(options: TopicMeshOptions) {
    this.#options = options;
    const { clock, random } = options;
    this.#seen = new Seen(clock.monotonicMs());
    this.#asks = new Asks(clock);
    const { topic, send, duties } = options;
    this.#word = new Word({ clock, topic, send });
    this.#past = new Past({ clock, topic, recent: this.#recent, send, over: () => duties.pastOver() });
    this.#pulls = new Pulls({
      clock,
      ask: (neighbour, ids) =>
        this.#subscribers.has(neighbour) &&
        this.#send(neighbour, { kind: "want", topic: options.topic, ids }),
      broken: (id) => {
        const neighbour = this.#subscribers.get(id);
        neighbour?.score.broken(clock.monotonicMs());
        if (neighbour !== undefined) options.scored(neighbour);
      },
    });
    this.#heartbeat = clock.setTimer(random.unit() * HEARTBEAT_MS, () => this.#beat());
  }

  get subscribers(): readonly PeerId[] {
    return [...this.#subscribers.keys()];
  }

  isSubscriber(id: PeerId): boolean {
    return this.#subscribers.has(id);
  }

  /** Neighbours in the mesh. */
  get meshed(): readonly PeerId[] {
    return [...this.#mesh.keys()];
  }

  get meshSize(): number {
    return this.#mesh.size;
  }

  isInMesh(id: PeerId): boolean {
    return this.#mesh.has(id);
  }

  // --- neighbours ---

  /** A neighbour is in the topic. */
  add(...neighbours: readonly GossipNeighbour[]): void {
    for (const neighbour of neighbours) this.#subscribers.set(neighbour.id, neighbour);
    this.#balance();
    this.#past.ask(this.#subscribers.keys());
    this.#options.duties.changed();
  }

  /** A neighbour is gone, or has left the topic. */
  remove(id: PeerId): void {
    if (!this.#subscribers.delete(id)) return;
    this.#leaveMesh(id);
    this.#word.forget(id);
    this.#pulls.gone(id);
    this.#past.forget(id);
    this.#balance();
    this.#options.duties.changed();
  }

  grafted(neighbour: GossipNeighbour): void {
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#subscribers.set(neighbour.id, neighbour);
    if (this.#mesh.has(neighbour.id)) return;
    const isAway = this.#isAway(neighbour.id, nowMs);
    if (isAway) this.#excess(neighbour);
    const isFull = this.#mesh.size >= MESH_MAX && this.#subscribers.size > FULL_MESH_MAX;
    if (isAway || isFull || neighbour.score.value(nowMs) < 0) this.#prune(neighbour.id);
    else this.#enterMesh(neighbour, false);
    this.#options.duties.changed();
  }

  pruned(neighbour: GossipNeighbour, backoffMs: number, peers: readonly PeerId[]): void {
    this.#leaveMesh(neighbour.id);
    this.#away.set(neighbour.id, this.#options.clock.monotonicMs() + Math.max(backoffMs, HEARTBEAT_MS));
    this.#options.duties.heard(peers);
  }

  heardOf(peers: readonly PeerId[]): void {
    this.#options.duties.heard(peers);
  }

  /** Some of those in the topic, for a neighbour that looks for them. */
  others(than: PeerId): PeerId[] {
    const others = [...this.#subscribers.keys()].filter((id) => id !== than);
    return shuffled(others, this.#options.random).slice(0, PEERS_MAX);
  }

  close(): void {
    this.#isClosed = true;
    for (const { neighbour } of this.#mesh.values()) neighbour.score.meshes -= 1;
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
    const asked = this.#pulls.came(id);
    if (this.#seen.has(id) || this.#judging.has(id)) {
      this.#repeated(from, id, envelope, asked);
      return;
    }
    if (publisher === own || !this.#seen.isFresh(timeMs, clock.nowMs())) {
      this.counters.stale += 1;
      return;
    }
    // Spent only when the signature is good: a forger must not use up what its victim may say, nor fill what is remembered.
    if (this.#rateOf(publisher, nowMs).left(nowMs) < 1) {
      this.counters.throttled += 1;
      if (from.id === publisher) this.#excess(from);
      return;
    }
    this.#judging.set(id, { from: from.id, holders: new Set([from.id]) });
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
    const isMesh = this.#mesh.has(from.id);
    const patienceMs = isMesh
      ? this.#trees.of(publisher).patienceMs(from.id, bytesMax)
      : GOSSIP_PATIENCE_MS + this.#trees.of(publisher).patienceMs(from.id, bytesMax);
    this.#pulls.told(from.id, unknown, bytesMax, patienceMs);
  }

  wanted(from: GossipNeighbour, ids: readonly MessageId[]): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (from.score.value(nowMs) < SCORE_GOSSIP) return;
    for (const id of ids) {
      const recent = this.#recent.serve(id, from.id);
      if (recent === undefined) continue;
      const { envelope } = recent;
      const tree = this.#trees.of(envelope.publisher);
      if (this.#mesh.has(from.id) && tree.isTree(envelope.bytes.length, nowMs)) tree.follow(from.id, true);
      this.#send(from.id, { kind: "message", envelope });
    }
  }

  follow(from: GossipNeighbour, publisher: PeerId, on: boolean): void {
    if (this.#mesh.has(from.id)) this.#trees.of(publisher).follow(from.id, on);
  }

  // --- the past ---

  /** Asks the next neighbours that there are for so many past messages. */
  wantPast(count: number): void {
    this.#past.want(count, this.#subscribers.keys());
  }

  pastWanted(from: GossipNeighbour, count: number): void {
    this.#past.give(from.id, count);
  }

  pastReceived(from: GossipNeighbour, id: MessageId, envelope: Envelope): void {
    const { clock, duties, own } = this.#options;
    if (!this.#past.takes(from.id) || this.#seen.has(id) || this.#judging.has(id)) return;
    if (envelope.timeMs > clock.nowMs() + FRESH_MS) return;
    this.#judging.set(id, { from: from.id, holders: new Set([from.id]) });
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

  #judged(from: GossipNeighbour, id: MessageId, envelope: Envelope, verdict: Verdict | "forged"): void {
    const judging = this.#judging.get(id);
    this.#judging.delete(id);
    if (this.#isClosed) return;
    assert(judging !== undefined, "a message is judged once");
    const { clock, duties } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#seen.add(id, envelope.timeMs, clock.nowMs(), nowMs);
    if (verdict !== "forged") this.#rateOf(envelope.publisher, nowMs).spend(costOf(envelope.bytes.length));
    if (verdict !== "accept") {
      this.#blame(from, verdict);
      return;
    }
    this.counters.delivered += 1;
    from.score.first(nowMs);
    const tree = this.#trees.of(envelope.publisher);
    tree.note(nowMs);
    if (this.#mesh.has(from.id)) tree.parent = from.id;
    if (envelope.kind === "ask") this.#asks.open(id, from.id);
    this.#spread(this.#recent.add(id, envelope, nowMs, judging.holders));
    duties.deliver(id, envelope);
  }

  /** It is here already. */
  #repeated(from: GossipNeighbour, id: MessageId, envelope: Envelope, asked: PeerId | undefined): void {
    this.counters.duplicates += 1;
    const { publisher, bytes } = envelope;
    const judging = this.#judging.get(id);
    (judging ?? this.#recent.get(id))?.holders.add(from.id);
    const tree = this.#trees.of(publisher);
    const parent = judging?.from ?? tree.parent;
    if (from.id === parent || from.id === asked || !this.#mesh.has(from.id)) return;
    if (tree.isTree(bytes.length, this.#options.clock.monotonicMs()))
      this.#send(from.id, { kind: "follow", topic: this.#options.topic, publisher, on: false });
  }

  #spread(recent: Recent): number {
    const { envelope, holders } = recent;
    const nowMs = this.#options.clock.monotonicMs();
    const tree = this.#trees.of(envelope.publisher);
    let given = 0;
    for (const to of this.#targets()) {
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

  #targets(): readonly PeerId[] {
    if (this.#mesh.size > 0) return [...this.#mesh.keys()];
    return shuffled([...this.#subscribers.keys()], this.#options.random).slice(0, MESH_WANTED);
  }

  #beat(): void {
    const { clock } = this.#options;
    this.#heartbeat = clock.setTimer(HEARTBEAT_MS, () => this.#beat());
    const nowMs = clock.monotonicMs();
    for (const [id, untilMs] of this.#away) if (untilMs <= nowMs) this.#away.delete(id);
    this.#asks.expire();
    this.#balance();
    this.#gossip(nowMs);
    this.#options.duties.changed();
  }

  #gossip(nowMs: number): void {
    const recents = this.#recent.since(nowMs - GOSSIP_MS, GOSSIP_IDS_MAX);
    if (recents.length === 0) return;
    const outside = [...this.#subscribers.values()].filter(
      ({ id, score }) => !this.#mesh.has(id) && score.value(nowMs) >= SCORE_GOSSIP,
    );
    const count = Math.max(GOSSIP_MIN, Math.ceil(outside.length * GOSSIP_SHARE));
    for (const { id } of shuffled(outside, this.#options.random).slice(0, count))
      this.#word.tell(id, recents);
  }

  #balance(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const candidates = [...this.#subscribers.values()].map(({ id, score }) => {
      const member = this.#mesh.get(id);
      return {
        id,
        score: score.value(nowMs),
        isInMesh: member !== undefined,
        isOwn: member?.isOwn ?? false,
        isAway: this.#isAway(id, nowMs),
      };
    });
    const { graft, prune } = chooseMesh(candidates, this.#options.random);
    for (const id of prune) this.#prune(id);
    for (const id of graft) {
      const neighbour = this.#subscribers.get(id);
      if (neighbour === undefined || !this.#send(id, { kind: "graft", topic: this.#options.topic })) continue;
      this.#enterMesh(neighbour, true);
    }
  }

  #enterMesh(neighbour: GossipNeighbour, isOwn: boolean): void {
    this.#mesh.set(neighbour.id, { neighbour, isOwn });
    neighbour.score.meshes += 1;
    // What was said while the link was made.
    const nowMs = this.#options.clock.monotonicMs();
    this.#word.tell(neighbour.id, this.#recent.since(nowMs - GOSSIP_MS + 1, GOSSIP_IDS_MAX));
  }

  #leaveMesh(id: PeerId): void {
    const member = this.#mesh.get(id);
    if (member === undefined) return;
    member.neighbour.score.meshes -= 1;
    this.#mesh.delete(id);
    this.#trees.forget(id);
  }

  #prune(id: PeerId): void {
    this.#leaveMesh(id);
    this.#away.set(id, this.#options.clock.monotonicMs() + AWAY_MS);
    const peers = this.others(id);
    this.#send(id, { kind: "prune", topic: this.#options.topic, backoffMs: AWAY_MS, peers });
  }

  #isAway(id: PeerId, nowMs: number): boolean {
    return (this.#away.get(id) ?? Number.NEGATIVE_INFINITY) > nowMs;
  }

  #passReply(reply: Reply): void {
    const way = this.#asks.pass(reply);
    if (way === undefined) return;
    if (way === "own") {
      this.#options.duties.replied(reply);
      return;
    }
    const holders = this.#recent.get(reply.ask)?.holders ?? [];
    const to = [way, ...holders].find((id) => this.#subscribers.has(id));
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

  #rateOf(publisher: PeerId, nowMs: number): Allowance {
    const { rate, burst } = this.#options;
    const known = this.#rates.get(publisher);
    const allowance = known ?? new Allowance(RATE_TOLERANCE * burst, RATE_TOLERANCE * rate, nowMs);
    this.#rates.delete(publisher);
    this.#rates.set(publisher, allowance);
    if (this.#rates.size > PUBLISHERS_MAX) this.#rates.delete(this.#rates.keys().next().value as PeerId);
    return allowance;
  }

  #send(to: PeerId, message: TopicMessage): boolean {
    return this.#options.send(to, message);
  }
}

/** What a message counts for in a publisher's rate. */
export function costOf(bytes: number): number {
  return 1 + Math.floor(bytes / RATE_BYTES);
}
