/**
 * A topic among simulated peers: the very `Gossip` that real ones run, on one virtual clock, over links that take their time and uplinks that
 * take longer for what is large. Some may be dead without a word, or pass nothing on. Everything random comes from the seed.
 */
import { seededRandom, type SimRandom } from "../adapters/sim/random.ts";
import { SyncClock } from "../adapters/sim/sync-clock.ts";
import type { Envelope, MessageId, TopicId } from "../services/topics/envelope.ts";
import { Gossip } from "../services/topics/gossip.ts";
import { encodeMessage, type TopicMessage } from "../services/topics/protocol.ts";
import { type Numbered, SenderOrder } from "../services/topics/order.ts";
import type { TopicMesh } from "../services/topics/topic-mesh.ts";
import { type PeerId, peerIdFromKey, PUBLIC_KEY_BYTES } from "../../shared/ids.ts";
import { LatencySpace, type Position } from "./latency.ts";
import { quantile, rounded } from "./statistics.ts";

export interface TopicWorldOptions {
  readonly nodes: number;
  readonly seed: number | string;
  /** Sessions of each peer. @default 32 */
  readonly links?: number;
  /** @default 80 */
  readonly rttMsMedian?: number;
  /** Of each peer; what it sends goes out one after the other. @default 10 */
  readonly uplinkMbit?: number;
  /** Messages a second of one publisher. @default 1_000 */
  readonly rate?: number;
  /** Of all that is sent, so much is lost and sent again, while what follows it on the same link waits. @default 0 */
  readonly lossShare?: number;
}

export interface TopicRunOptions {
  /** Encoded. */
  readonly bytes: number;
  readonly messages: number;
  /** How many peers take turns. @default each message another one */
  readonly publishers?: number;
  /** Between two messages. @default 1_000 */
  readonly everyMs?: number;
}

export interface TopicFigures {
  /** Of all live peers and messages. */
  readonly delivered: number;
  readonly msP50: number;
  readonly msP99: number;
  readonly msMax: number;
  /** Of all messages, those that a reader in order has not got. */
  readonly missedInOrder: number;
  /** Bodies received for each message and live peer, the publisher left out. */
  readonly copies: number;
  /** All that was sent beside the bodies, for each message and live peer, bytes. */
  readonly wordBytes: number;
}

const TOPIC = "ab".repeat(16);
/** A signature is checked in this time. */
const JUDGE_MS = 0.3;
const FRAMING_BYTES = 32;
/** Meshes are made by then. */
const SETTLE_MS = 4_000;
/** What has not come by then does not come. */
const END_MS = 12_000;
const ENVELOPE_BYTES = 133;
/** After the first loss; twice as long after each further one. SCTP's least, RFC 9260. */
const RETRANSMIT_MS = 1_000;

export interface TopicNode {
  readonly id: PeerId;
  readonly gossip: Gossip;
  readonly mesh: TopicMesh;
  readonly position: Position;
  readonly neighbours: Set<TopicNode>;
  /** Receives nothing and says nothing; nobody has noticed. */
  isDead: boolean;
  /** Takes part in everything, and passes no message on. */
  isMute: boolean;
  uplinkFreeMs: number;
  /** When what was sent last to each neighbour is there. */
  readonly arrivesMs: Map<TopicNode, number>;
}

interface Ordered extends Numbered {
  readonly id: MessageId;
}

interface Published {
  readonly envelope: Envelope;
  readonly atMs: number;
  readonly receivedMs: Map<TopicNode, number>;
  /** Who has it in its order. */
  readonly readBy: Set<TopicNode>;
  bodies: number;
}

export class TopicWorld {
  readonly clock: SyncClock = new SyncClock();
  readonly random: SimRandom;
  readonly topic: TopicId = TOPIC;
  readonly nodes: TopicNode[];
  readonly #byId = new Map<PeerId, TopicNode>();
  readonly #space: LatencySpace;
  readonly #uplinkBytesPerMs: number;
  readonly #rate: number;
  readonly #lossShare: number;
  readonly #published = new Map<MessageId, Published>();
  readonly #ids = new Map<Envelope, MessageId>();
  readonly #forged = new WeakSet<Envelope>();
  readonly #seqs = new Map<PeerId, number>();
  #wordBytes = 0;

  constructor(options: TopicWorldOptions) {
    const {
      nodes,
      seed,
      links = 32,
      rttMsMedian = 80,
      uplinkMbit = 10,
      rate = 1_000,
      lossShare = 0,
    } = options;
    this.random = seededRandom(`${seed}/topics`);
    this.#space = new LatencySpace(this.random.fork("latency"), rttMsMedian);
    this.#uplinkBytesPerMs = (uplinkMbit * 1_000) / 8;
    this.#rate = rate;
    this.#lossShare = lossShare;
    this.nodes = Array.from({ length: nodes }, () => this.#node());
    const [first] = this.nodes as [TopicNode];
    for (const [i, node] of this.nodes.entries()) {
      this.#link(node, this.nodes[(i + 1) % nodes] ?? first);
      while (node.neighbours.size < Math.min(links / 2, nodes - 1)) this.#link(node, this.pick(this.nodes));
    }
    this.clock.advance(SETTLE_MS);
  }

  pick(from: readonly TopicNode[]): TopicNode {
    return from[this.random.integer(0, from.length - 1)] as TopicNode;
  }

  get alive(): TopicNode[] {
    return this.nodes.filter(({ isDead }) => !isDead);
  }

  /** A share of all dies at one instant, without a word, and nobody notices. */
  kill(share: number): void {
    const dying = this.#some(share);
    for (const node of dying) node.isDead = true;
  }

  /** A share of all passes nothing on from now. */
  mute(share: number): void {
    for (const node of this.#some(share)) node.isMute = true;
  }

  run({ bytes, messages, publishers = messages, everyMs = 1_000 }: TopicRunOptions): TopicFigures {
    this.#published.clear();
    this.#wordBytes = 0;
    const speakers = Array.from({ length: publishers }, () =>
      this.pick(this.alive.filter(({ isMute }) => !isMute)),
    );
    for (let i = 0; i < messages; i++) {
      this.publish(speakers[i % publishers] as TopicNode, bytes);
      this.clock.advance(everyMs);
    }
    this.clock.advance(END_MS);
    return this.#figures();
  }

  /** One gives another a message that a third has not signed. */
  forge(from: TopicNode, as: TopicNode, to: TopicNode): void {
    const { id, envelope } = this.#envelope(as, ENVELOPE_BYTES);
    this.#forged.add(envelope);
    to.gossip.received(from.id, { kind: "message", envelope }, id);
  }

  publish(from: TopicNode, bytes: number): MessageId {
    const { id, envelope } = this.#envelope(from, bytes);
    this.#published.set(id, {
      envelope,
      atMs: this.clock.monotonicMs(),
      receivedMs: new Map(),
      readBy: new Set(),
      bodies: 0,
    });
    from.mesh.publish(id, envelope);
    return id;
  }

  #envelope(from: TopicNode, bytes: number): { readonly id: MessageId; readonly envelope: Envelope } {
    const seq = this.#seqs.get(from.id) ?? 0;
    this.#seqs.set(from.id, seq + 1);
    const id = Array.from(this.random.bytes(16), (byte) => byte.toString(16).padStart(2, "0")).join("");
    const envelope: Envelope = {
      kind: "value",
      topic: TOPIC,
      publisher: from.id,
      runMs: 0,
      seq,
      timeMs: this.clock.nowMs(),
      body: new Uint8Array(1),
      signature: new Uint8Array(0),
      bytes: new Uint8Array(Math.max(bytes, ENVELOPE_BYTES + 1)),
    };
    this.#ids.set(envelope, id);
    return { id, envelope };
  }

  /** Live peers that a message has not reached, its publisher left out. */
  missedBy(id: MessageId): TopicNode[] {
    const { envelope, receivedMs } = this.#published.get(id) ?? {};
    return this.alive.filter((node) => node.id !== envelope?.publisher && receivedMs?.has(node) !== true);
  }

  #figures(): TopicFigures {
    const alive = this.alive;
    const times: number[] = [];
    let wanted = 0;
    let bodies = 0;
    let read = 0;
    for (const { envelope, atMs, receivedMs, readBy, bodies: count } of this.#published.values()) {
      bodies += count;
      for (const node of alive) {
        if (node.id === envelope.publisher) continue;
        wanted += 1;
        if (readBy.has(node)) read += 1;
        const at = receivedMs.get(node);
        if (at !== undefined) times.push(at - atMs);
      }
    }
    times.sort((a, b) => a - b);
    return {
      delivered: rounded(times.length / wanted, 6),
      msP50: rounded(quantile(times, 0.5), 1),
      msP99: rounded(quantile(times, 0.99), 1),
      msMax: rounded(times.at(-1) ?? 0, 1),
      missedInOrder: rounded(1 - read / wanted, 6),
      copies: rounded(bodies / wanted, 3),
      wordBytes: rounded(this.#wordBytes / wanted, 1),
    };
  }

  #some(share: number): TopicNode[] {
    return this.nodes
      .map((node) => ({ node, at: this.random.unit() }))
      .sort((a, b) => a.at - b.at)
      .slice(0, Math.round(share * this.nodes.length))
      .map(({ node }) => node);
  }

  #node(): TopicNode {
    const id = peerIdFromKey(this.random.bytes(PUBLIC_KEY_BYTES));
    const gossip = new Gossip({
      clock: this.clock,
      random: this.random,
      own: id,
      send: (to, message) => this.#send(node, to, message),
      banned: () => {},
    });
    const mesh = gossip.join({
      topic: TOPIC,
      rate: this.#rate,
      burst: this.#rate,
      duties: {
        judge: ({ envelope }, done) => {
          this.clock.setTimer(JUDGE_MS, () => done(this.#forged.has(envelope) ? "forged" : "accept"));
          return true;
        },
        judgeReply: (_, done) => this.clock.setTimer(JUDGE_MS, () => done(true)),
        deliver: (messageId, { publisher, runMs, seq }) => {
          this.#published.get(messageId)?.receivedMs.set(node, this.clock.monotonicMs());
          order.add({ publisher, runMs, seq, id: messageId });
        },
        withheld: () => {},
        past: () => {},
        pastOver: () => {},
        replied: () => {},
        heard: () => {},
        changed: () => {},
      },
    });
    const order = new SenderOrder<Ordered>({
      clock: this.clock,
      isAwaited: (publisher, announcedByMs) => mesh.isAwaited(publisher, announcedByMs),
      emit: (item) => this.#published.get(item.id)?.readBy.add(node),
    });
    const node: TopicNode = {
      id,
      gossip,
      mesh,
      position: this.#space.place(),
      neighbours: new Set(),
      isDead: false,
      isMute: false,
      uplinkFreeMs: 0,
      arrivesMs: new Map(),
    };
    this.#byId.set(id, node);
    return node;
  }

  #link(a: TopicNode, b: TopicNode): void {
    if (a === b || a.neighbours.has(b)) return;
    a.neighbours.add(b);
    b.neighbours.add(a);
    a.gossip.met(b.id);
    b.gossip.met(a.id);
  }

  #send(from: TopicNode, toId: PeerId, message: TopicMessage): boolean {
    const to = this.#byId.get(toId);
    if (to === undefined) return false;
    const isBody = message.kind === "message";
    if (from.isDead) return true;
    if (isBody && from.isMute && message.envelope.publisher !== from.id) return true;
    if (from.isMute && message.kind === "have") return true;
    const bytes = (isBody ? message.envelope.bytes.length : encodeMessage(message).length) + FRAMING_BYTES;
    if (!isBody) this.#wordBytes += bytes;
    const nowMs = this.clock.monotonicMs();
    // Words do not wait behind bodies: they have little to carry, and sessions give small frames their turn.
    const leavesMs = (isBody ? Math.max(nowMs, from.uplinkFreeMs) : nowMs) + bytes / this.#uplinkBytesPerMs;
    if (isBody) from.uplinkFreeMs = leavesMs;
    const oneWayMs = this.#space.rttMs(from.position, to.position) / 2;
    this.clock.setTimer(leavesMs - nowMs + this.#wayMs(from, to, leavesMs, oneWayMs), () =>
      this.#arrive(from, to, message),
    );
    return true;
  }

  /** With what is lost on the way, and sent again. */
  #wayMs(from: TopicNode, to: TopicNode, leavesMs: number, oneWayMs: number): number {
    if (this.#lossShare === 0) return oneWayMs;
    let wayMs = oneWayMs;
    for (let againMs = RETRANSMIT_MS; this.random.unit() < this.#lossShare; againMs *= 2) wayMs += againMs;
    const arrivesMs = Math.max(leavesMs + wayMs, from.arrivesMs.get(to) ?? 0);
    from.arrivesMs.set(to, arrivesMs);
    return arrivesMs - leavesMs;
  }

  #arrive(from: TopicNode, to: TopicNode, message: TopicMessage): void {
    if (to.isDead) return;
    const id = message.kind === "message" ? this.#ids.get(message.envelope) : undefined;
    const published = id === undefined ? undefined : this.#published.get(id);
    if (published !== undefined) published.bodies += 1;
    to.gossip.received(from.id, message, id);
  }
}
