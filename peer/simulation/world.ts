/**
 * A network of simulated peers: the very `Mesh` that real peers run, on one virtual clock, with links that take their time and peers that
 * die without a word. Everything random comes from the seed, so a run can be had again.
 */
import { BEACONS_MAX } from "../../shared/limits.ts";
import type { SyncClock } from "../adapters/sim/sync-clock.ts";
import { pickOne, type SimRandom, seededRandom } from "../adapters/sim/random.ts";
import { LINK_BUDGETS, type LinkBudget } from "../overlay/mesh/link-table.ts";
import { Mesh, type Traffic } from "../overlay/mesh/mesh.ts";
import type { MeshContact } from "../overlay/mesh/openings.ts";
import { decodeMesh } from "../overlay/mesh/mesh-messages.ts";
import type { MeshKey } from "../overlay/mesh/mesh-key.ts";
import type { Answer } from "../overlay/mesh/requester.ts";
import type { RecordCheck } from "../services/records/check.ts";
import { RecordHolder } from "../services/records/holder.ts";
import { type Position, LatencySpace, normal } from "./latency.ts";
import { abuse, MALICE, type Malice } from "./malice.ts";
import { Pipe, type PipeWorld } from "./pipe.ts";

export interface WorldOptions {
  readonly seed: number | string;
  readonly clock: SyncClock;
  /** @default a browser's */
  readonly budget?: LinkBudget;
  /** @default 80 */
  readonly rttMsMedian?: number;
  /** Share of peers that acknowledge what they should forward and drop it, deny it, answer it falsely, or send it astray: a quarter each. @default 0 */
  readonly malicious?: number;
  /** What those do, drawn from these. @default all of them */
  readonly malice?: readonly Malice[];
  /** Share of packets lost on every link; they come late, since links repeat them. @default 0 */
  readonly loss?: number;
  /** Share of peers that nobody behind the like can be linked to directly: symmetric NAT, UDP blocked. @default 0 */
  readonly nat?: number;
}

/** Of a real contact: a peer id, an address or two. */
const CONTACT_BYTES = 64;
/** A sealed description with its candidates. */
const SIGNAL_BYTES = 350;
/** Header, tag and stream frame around each message in a session. */
const FRAMING_BYTES = 32;
/** From the answer to the open link: ICE, DTLS and the handshake. */
const OPEN_MS_MEDIAN = 450;
const OPEN_SPREAD = 0.5;
const OPEN_MS_MIN = 100;
const OPEN_MS_MAX = 1_500;
/** Until an opening is given up that NATs do not let through: ICE has tried all pairs by then. */
const OPEN_FAILS_MS = 5_000;
/** Peers that the rendezvous keeps to introduce newcomers, and how many it names. */
const BEACONS = 48;
const CONTACTS_NEAR: number = BEACONS_MAX / 2;
const CONTACTS_RANDOM: number = BEACONS_MAX / 2;
/** Hello, challenge, join, welcome with contacts; then an offer and an answer for each that the edge carries; then release. */
const JOIN_MESSAGES = 3;
const SIGNALS_PER_CONTACT = 2;
/** The edge carries the signals of the first four links, peers those of all others once one stands. */
const CONTACTS_BY_EDGE = 4;
const KEY_COUNT: number = 2 ** 52;
/** Simulated records are not forged: signatures would cost more than all the rest. */
export const TRUSTING: RecordCheck = { check: (_, done) => done(true) };

/** What only the peer looked for can have answered: its seal would show it. */
export function isGenuine(body: Uint8Array, done: (isGenuine: boolean) => void): void {
  done(body.length === SIGNAL_BYTES);
}

export interface SimPeer {
  readonly key: MeshKey;
  readonly mesh: Mesh;
  readonly position: Position;
  readonly contact: Uint8Array;
  readonly links: Map<MeshKey, Pipe>;
  /** What it does to what it should forward; undefined: it is honest. */
  readonly malice: Malice | undefined;
  /** Behind a NAT that only peers without one get through. */
  readonly isNatted: boolean;
  readonly holder: RecordHolder;
  alive: boolean;
  /** Messages through the edge in its life. */
  edgeMessages: number;
  readonly bornAtMs: number;
  readyAtMs: number | undefined;
}

export class World implements PipeWorld {
  readonly clock: SyncClock;
  readonly random: SimRandom;
  readonly peers: Map<MeshKey, SimPeer> = new Map();
  /** Those alive, for drawing one at random. */
  readonly alive: SimPeer[] = [];
  readonly beacons: SimPeer[] = [];
  /** Bytes sent, framing included, by kind. */
  readonly bytes: Map<Traffic, { total: number }> = new Map();
  messages = 0;
  /** All messages through the edge, and those of them that newcomers cause. */
  edgeMessages = 0;
  joinMessages = 0;
  onReady: (peer: SimPeer) => void = () => {};
  /** Whether nothing passes between two peers now: a partition. */
  isCut: (a: SimPeer, b: SimPeer) => boolean = () => false;
  /** A message has come to the peer that it was for. */
  deliver: (peer: SimPeer, body: Uint8Array, from: MeshKey, answer: (body: Uint8Array) => void) => void = (
    peer,
    _signal,
    from,
    answer,
  ) => answer(this.#answer(peer, from));
  readonly #space: LatencySpace;
  readonly #budget: LinkBudget;
  readonly loss: number;
  readonly #malicious: number;
  readonly #malice: readonly Malice[];
  readonly #nat: number;
  /** The rendezvous is one object, somewhere. */
  readonly #edge: Position;
  readonly #places = new Map<SimPeer, number>();

  constructor(options: WorldOptions) {
    const { seed, clock, budget = LINK_BUDGETS.browser, rttMsMedian = 80 } = options;
    this.clock = clock;
    this.random = seededRandom(`${seed}/world`);
    this.#space = new LatencySpace(this.random.fork("latency"), rttMsMedian);
    this.#edge = this.#space.place();
    this.#budget = budget;
    this.loss = options.loss ?? 0;
    this.#malicious = options.malicious ?? 0;
    this.#malice = options.malice ?? MALICE;
    this.#nat = options.nat ?? 0;
  }

  rttMs(a: SimPeer, b: SimPeer): number {
    return this.#space.rttMs(a.position, b.position);
  }

  /** A peer without links. */
  create(): SimPeer {
    const key = Math.floor(this.random.unit() * KEY_COUNT);
    const contact = new Uint8Array(CONTACT_BYTES);
    new DataView(contact.buffer).setFloat64(0, key);
    const peer: SimPeer = {
      key,
      contact,
      position: this.#space.place(),
      links: new Map(),
      malice: this.random.unit() < this.#malicious ? pickOne(this.#malice, this.random) : undefined,
      isNatted: this.#nat > 0 && this.random.unit() < this.#nat,
      alive: true,
      edgeMessages: 0,
      bornAtMs: this.clock.monotonicMs(),
      readyAtMs: undefined,
      mesh: undefined as unknown as Mesh,
      holder: undefined as unknown as RecordHolder,
    };
    const mesh = new Mesh({
      clock: this.clock,
      random: this.random,
      key,
      budget: this.#budget,
      contact: () => contact,
      open: (to, done) => this.#openThrough(peer, to, done),
      deliver: (...message) => this.deliver(peer, ...message),
      sent: (kind, bytes) => {
        this.messages += 1;
        let sent = this.bytes.get(kind);
        if (sent === undefined) this.bytes.set(kind, (sent = { total: 0 }));
        // Changed in its place: a number past 31 bits in the map would be a new object each time.
        sent.total += bytes + FRAMING_BYTES;
      },
      changed: () => this.#noteReady(peer),
    });
    const holder = new RecordHolder({ mesh, clock: this.clock, random: this.random, check: TRUSTING });
    mesh.service = holder;
    Object.assign(peer, { mesh, holder });
    this.peers.set(key, peer);
    this.#places.set(peer, this.alive.length);
    this.alive.push(peer);
    return peer;
  }

  /** A newcomer: asks the edge, links to whom it names, and goes on through them. */
  join(): SimPeer {
    const peer = this.create();
    this.#joinMessage(peer, JOIN_MESSAGES);
    const contacts = this.#introduce(peer);
    const edgeMs = this.#space.rttMs(peer.position, this.#edge);
    const byEdge = (some: readonly SimPeer[], done: () => void): void => {
      for (const contact of some) {
        this.#joinMessage(peer, SIGNALS_PER_CONTACT);
        this.clock.setTimer(edgeMs + this.rttMs(peer, contact) / 2, () =>
          contact.mesh.expect(peer.key, true),
        );
        this.clock.setTimer(edgeMs + this.rttMs(peer, contact), () => this.#openLater(peer, contact, done));
      }
    };
    const others = contacts.slice(CONTACTS_BY_EDGE);
    const goOn = (): void => {
      const left = others.splice(0);
      if (peer.links.size === 0) byEdge(left, () => {});
      else for (const contact of left) this.#openThrough(peer, contact, () => {});
    };
    this.clock.setTimer(2 * edgeMs, () => byEdge(contacts.slice(0, CONTACTS_BY_EDGE), goOn));
    this.#keepBeacons(peer);
    return peer;
  }

  /** Dies without a word. */
  kill(peer: SimPeer): void {
    if (!peer.alive) return;
    peer.alive = false;
    peer.mesh.kill();
    peer.holder.close();
    this.peers.delete(peer.key);
    const place = this.#places.get(peer) as number;
    const last = this.alive.pop() as SimPeer;
    if (last !== peer) {
      this.alive[place] = last;
      this.#places.set(last, place);
    }
    this.#places.delete(peer);
    peer.links.clear();
  }

  pick(): SimPeer {
    return pickOne(this.alive, this.random) as SimPeer;
  }

  /** Somebody who has arrived and is honest: liars are not asked what they see. */
  pickReady(): SimPeer {
    for (;;) {
      const peer = this.pick();
      if (peer.readyAtMs !== undefined && peer.malice === undefined) return peer;
    }
  }

  /** A link between two, at once. */
  connect(a: SimPeer, b: SimPeer): void {
    if (!a.alive || !b.alive || a === b || a.links.has(b.key)) return;
    if (this.isCut(a, b) || !canLink(a, b)) return;
    const oneWayMs = this.rttMs(a, b) / 2;
    const near = new Pipe(this, a, b, oneWayMs);
    const far = new Pipe(this, b, a, oneWayMs);
    near.other = far;
    far.other = near;
    a.links.set(b.key, near);
    b.links.set(a.key, far);
    a.mesh.add(near);
    b.mesh.add(far);
  }

  arrived(pipe: Pipe, message: Uint8Array): void {
    const { owner } = pipe;
    const heard = owner.malice === undefined ? undefined : decodeMesh(message);
    const isOthers = heard?.kind === "forward" && !(heard.exact && heard.target === owner.key);
    if (isOthers) abuse(this, pipe, heard);
    else owner.mesh.receive(pipe, message);
  }

  #openThrough(peer: SimPeer, to: MeshContact, done: (opened: boolean) => void): void {
    const signal = new Uint8Array(SIGNAL_BYTES);
    const take = (answer: Answer | undefined): void => {
      const other = this.peers.get(to.key);
      if (answer === undefined || answer.body[0] !== 1 || other === undefined) done(false);
      else this.#openLater(peer, other, done);
    };
    peer.mesh.deliver(to.key, signal, take, { isProved: isGenuine });
  }

  #answer(peer: SimPeer, from: MeshKey): Uint8Array {
    const answer = new Uint8Array(SIGNAL_BYTES);
    answer[0] = peer.mesh.accepts(from) ? 1 : 0;
    peer.mesh.expect(from);
    return answer;
  }

  #openLater(a: SimPeer, b: SimPeer, done: (opened: boolean) => void): void {
    const drawnMs = OPEN_MS_MEDIAN * Math.exp(OPEN_SPREAD * normal(this.random));
    const takesMs = canLink(a, b) ? Math.min(Math.max(drawnMs, OPEN_MS_MIN), OPEN_MS_MAX) : OPEN_FAILS_MS;
    this.clock.setTimer(takesMs, () => {
      if (a.mesh.accepts(b.key) && b.mesh.accepts(a.key)) this.connect(a, b);
      done(a.links.has(b.key));
    });
  }

  #introduce(peer: SimPeer): SimPeer[] {
    const beacons = this.beacons.filter((one) => one.alive);
    const near = beacons
      .toSorted((a, b) => this.#away(a, peer) - this.#away(b, peer))
      .slice(0, CONTACTS_NEAR);
    const rest = beacons.filter((one) => !near.includes(one));
    for (let i = 0; i < CONTACTS_RANDOM && rest.length > 0; i++) {
      near.push(...rest.splice(Math.floor(this.random.unit() * rest.length), 1));
    }
    return near;
  }

  #away(a: SimPeer, b: SimPeer): number {
    return Number(BigInt(a.key) ^ BigInt(b.key));
  }

  #keepBeacons(peer: SimPeer): void {
    const dead = this.beacons.findIndex((one) => !one.alive);
    if (dead >= 0) this.beacons[dead] = peer;
    else if (this.beacons.length < BEACONS) this.beacons.push(peer);
  }

  #joinMessage(peer: SimPeer, messages: number): void {
    peer.edgeMessages += messages;
    this.edgeMessages += messages;
    this.joinMessages += messages;
  }

  #noteReady(peer: SimPeer): void {
    if (peer.readyAtMs !== undefined || !peer.mesh.isReady) return;
    peer.readyAtMs = this.clock.monotonicMs();
    this.onReady(peer);
  }
}

/** Whether NATs let a direct link through: not between two hard ones. */
export function canLink(a: SimPeer, b: SimPeer): boolean {
  return !a.isNatted || !b.isNatted;
}
