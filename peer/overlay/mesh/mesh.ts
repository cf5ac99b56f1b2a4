/**
 * One peer's place in the overlay: neighbours come and go, each is told what the others are (announcer.ts), the silent are found
 * out (failure-detector.ts), the missing are replaced by candidates that neighbours name (openings.ts), and requests are routed (router.ts) and answered (answers.ts). Synchronous and free of
 * promises, so that the simulator runs tens of thousands of these very objects on one clock.
 */
import { encode } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { Clock, Random, Timer } from "../../runtime.ts";
import { spreadMs } from "../backoff.ts";
import { Answers } from "./answers.ts";
import { Announcer } from "./announcer.ts";
import { Arrivals } from "./arrivals.ts";
import { type ClosestOptions, findClosest, type LookupOptions } from "./closest.ts";
import { OwnCoordinate, type Coordinate } from "./coordinate.ts";
import type { DigestEntry } from "./digest.ts";
import { FailureDetector } from "./failure-detector.ts";
import { type LinkBudget, LinkTable } from "./link-table.ts";
import { decodeMesh, encodeMesh, type MeshMessage } from "./mesh-messages.ts";
import { Merger } from "./merger.ts";
import { distance, KEY_BITS, type MeshKey } from "./mesh-key.ts";
import type { MeshService } from "./mesh-service.ts";
import { type MeshLink, Neighbour } from "./neighbour.ts";
import { BUCKET_DELAY_MS, type MeshContact, Openings, SIBLING_DELAY_MS } from "./openings.ts";
import { ASK, readKeys } from "./requests.ts";
import type { Answer, Requester, RequestOptions } from "./requester.ts";
import { Router } from "./router.ts";

/** Neighbours are looked over so often. */
const TICK_MS = 1_000;
/** Looks for itself through a random neighbour, so that two networks that touch grow together. */
const SELF_LOOKUP_MS = 30_000;
/** Over a relay only one time in so many: each message there is billed. */
const SELF_LOOKUP_RELAYED = 20;
/** A newcomer does so with its first links, each time through the latest. */
const SELF_LOOKUP_LINKS: readonly number[] = [1, 3, 6];
/** Enough links to be found by everybody and to find everybody. */
export const READY_LINKS = 8;

export type Traffic = "greet" | "delta" | "ping" | "forward" | "ack" | "reply" | "contact" | "bye" | "note";

/** What the mesh asks of the peer it is part of. */
export interface MeshHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly key: MeshKey;
  readonly budget: LinkBudget;
  /** How others reach this peer; at most 1 KiB. */
  contact(): Uint8Array;
  /** Makes a link; when it stands it is handed to `add`, on both sides. `done` is called once. */
  open(contact: MeshContact, done: (opened: boolean) => void): void;
  /** Somebody's message to this peer (`send`); `answer` is called once at most, now or later. */
  deliver(body: Uint8Array, from: MeshKey, answer: (body: Uint8Array) => void): void;
  /** Called for every message that leaves, with its kind. */
  sent?(kind: Traffic, bytes: number): void;
  /** The set of neighbours has changed. */
  changed?(): void;
  /** A neighbour that introduced newcomers is gone for good. */
  beaconLost?(): void;
  /** A peer has no room for this one, which has few links yet, and names others. */
  turnedAway?(others: Uint8Array): void;
}

const NOBODY = new Uint8Array(0);

export class Mesh {
  readonly #host: MeshHost;
  readonly #table: LinkTable;
  readonly #router: Router;
  readonly #answers: Answers;
  readonly #place: OwnCoordinate;
  readonly #openings: Openings;
  readonly #merger: Merger;
  readonly #failures: FailureDetector;
  readonly #announcer: Announcer;
  readonly #arrivals: Arrivals;
  readonly #closest: ClosestOptions;
  #timers: Timer[] = [];
  /** Since this peer had no link. */
  #selfLookups = 0;
  #malformed = 0;
  #closed = false;
  /** What lives at keys here. */
  service: MeshService | undefined;

  constructor(host: MeshHost) {
    this.#host = host;
    this.#table = new LinkTable(host.key, host.budget);
    this.#place = new OwnCoordinate(host.random);
    this.#failures = new FailureDetector({
      clock: host.clock,
      random: host.random,
      table: this.#table,
      ask: (neighbour, id) => this.#send(neighbour, { kind: "ping", id }),
      dead: (neighbour) => this.#giveUp(neighbour),
    });
    this.#announcer = new Announcer({
      clock: host.clock,
      table: this.#table,
      place: this.#place,
      send: (neighbour, bytes, kind) => this.#sendBytes(neighbour, bytes, kind),
    });
    this.#openings = new Openings({
      own: host.key,
      clock: host.clock,
      random: host.random,
      table: this.#table,
      place: this.#place,
      isReady: () => this.isReady,
      open: (contact, done) => host.open(contact, done),
      ask: (via, key) => this.#send(via, { kind: "who", key }),
    });
    this.#arrivals = new Arrivals(host.clock);
    this.#router = new Router({
      own: host.key,
      clock: host.clock,
      random: host.random,
      table: this.#table,
      arrivals: this.#arrivals,
      serve: (...request) => this.#answers.serve(...request),
      passed: (body) => this.service?.passed(body),
      send: (neighbour, message, what) => this.#sendBytes(neighbour, message, what),
      suspect: (neighbour) => this.#failures.suspect(neighbour),
    });
    const request: Requester["request"] = (...asked) => this.#router.request(...asked);
    this.#closest = { reach: () => this.reach, request };
    this.#merger = new Merger({
      own: host.key,
      clock: host.clock,
      random: host.random,
      table: this.#table,
      request,
      ask: (via, key) => this.#send(via, { kind: "who", key }),
      open: (contact) => this.#openings.open(contact),
      deliver: (...message) => host.deliver(...message),
    });
    this.#answers = new Answers({
      own: host.key,
      table: this.#table,
      merger: this.#merger,
      contact: () => host.contact(),
      service: () => this.service,
      deliver: (...message) => host.deliver(...message),
      expect: (key) => this.expect(key),
    });
    this.#repeat(TICK_MS, () => this.#tick());
    this.#repeat(SELF_LOOKUP_MS, () => this.#lookForSelf(this.#anyToAsk()));
  }

  get key(): MeshKey {
    return this.#host.key;
  }

  get size(): number {
    return this.#table.size;
  }

  get isReady(): boolean {
    return this.#table.size >= READY_LINKS;
  }

  get coordinate(): Coordinate {
    return this.#place;
  }

  get dropped(): number {
    return this.#router.dropped + this.#malformed;
  }

  neighbours(): IterableIterator<Neighbour> {
    return this.#table.neighbours.values();
  }

  has(key: MeshKey): boolean {
    return this.#table.neighbours.has(key);
  }

  /** Neighbours by rising distance to a key, at most so many. */
  closest(target: MeshKey, count: number): MeshKey[] {
    return this.#table.closest(target, count).map(({ key }) => key);
  }

  /** Distance over which this peer sees eight others: much the same everywhere, since keys are hashes. */
  get reach(): number {
    return Math.min(this.#table.siblingDistance, 2 ** KEY_BITS - 1);
  }

  /** Neighbours that are closer to a key than this peer. */
  rankOf(target: MeshKey): number {
    const own = distance(this.#host.key, target);
    let closer = 0;
    for (const { key } of this.neighbours()) if (distance(key, target) < own) closer += 1;
    return closer;
  }

  /** Whether a link that another peer asks for would be taken. `prefix`: of its address, where that is limited. */
  accepts(key: MeshKey, prefix?: string): boolean {
    return this.#hasRoomFor(key, this.#arrivals.isNewcomer(key), prefix);
  }

  /**
   * Another peer's offer of a link was taken: until the link stands, or for 2 s, requests for that peer wait for it here.
   * @param isNewcomer an edge has sent it: whoever is closest to it is told meanwhile, and it hears who belongs beside it once it is here
   */
  expect(key: MeshKey, isNewcomer = false): void {
    if (this.has(key) || !this.#hasRoomFor(key, isNewcomer)) return;
    if (!this.#arrivals.expect(key, isNewcomer) || !isNewcomer) return;
    this.lookup(key, (found) => this.#arrivals.placed(key, found), { isNewcomer });
  }

  // --- links ---

  /** A link stands. */
  add(link: MeshLink): void {
    const { key } = link;
    if (this.#closed || key === this.#host.key) return;
    const old = this.#table.neighbours.get(key);
    if (old !== undefined) this.#drop(old);
    const neighbour = new Neighbour(link, this.#host.clock.monotonicMs());
    this.#table.add(neighbour);
    // The closest are always taken, each in the place of another where no table may have more.
    if (this.#table.isOver) this.#shed();
    this.#openings.ended(key, true);
    this.#announcer.greet(neighbour);
    // Its first answer says how far and where it is; then the others are told.
    this.#failures.ping(neighbour);
    this.#host.changed?.();
    this.service?.changed(undefined);
    for (const beside of this.#arrivals.ended(key))
      if (beside.key !== this.key) this.#send(neighbour, { kind: "contact", ...beside });
    // Newly come, or again after all links were lost: whoever is closest names those who belong beside us. One answer may be lost, or not
    // the whole truth.
    if (this.#table.size === 1) this.#selfLookups = 0;
    if (this.#table.size === SELF_LOOKUP_LINKS[this.#selfLookups]) {
      this.#selfLookups += 1;
      this.#lookForSelf(neighbour);
    }
    this.#openings.plan(SIBLING_DELAY_MS);
  }

  /** A link is gone, whoever ended it. */
  remove(link: MeshLink): void {
    const neighbour = this.#table.neighbours.get(link.key);
    if (neighbour?.link !== link) return;
    this.#drop(neighbour);
    if (neighbour.isBeacon) this.#host.beaconLost?.();
  }

  /** Whether this peer introduces newcomers; its neighbours are told, so that one of them may follow it. */
  setBeacon(isBeacon: boolean): void {
    if (this.#announcer.isBeacon === isBeacon) return;
    this.#announcer.isBeacon = isBeacon;
    for (const neighbour of this.neighbours()) this.#announcer.greet(neighbour);
  }

  /** A message from a neighbour. Malformed ones cost the sender its link. */
  receive(link: MeshLink, bytes: Uint8Array): void {
    const neighbour = this.#table.neighbours.get(link.key);
    if (neighbour?.link !== link || this.#closed) return;
    let message: MeshMessage;
    try {
      message = decodeMesh(bytes);
    } catch (error) {
      if (!(error instanceof PeerloomError)) throw error;
      this.#malformed += 1;
      this.#drop(neighbour);
      link.close();
      return;
    }
    neighbour.heard(this.#host.clock.monotonicMs());
    this.#operate(neighbour, message);
  }

  // --- requests ---

  /** The contacts of the peers closest to a key by rising distance; undefined when no answer came (closest.ts). */
  lookup(
    target: MeshKey,
    done: (found: readonly MeshContact[] | undefined) => void,
    options: LookupOptions = {},
  ): void {
    findClosest(this.#closest, target, options, done);
  }

  /** Carries a message to the peer of that key and its answer back. */
  deliver(
    target: MeshKey,
    body: Uint8Array,
    done: (answer: Answer | undefined) => void,
    options: RequestOptions = {},
  ): void {
    const way = this.#merger.wayTo(target, body);
    if (way === undefined) this.#router.request(target, true, encode([ASK.deliver, body]), options, done);
    else this.#router.request(way.through, true, way.body, options, done);
  }

  /** Asks the service of whoever is closest to a key, or, `open`, of anybody on the way there. */
  ask(
    target: MeshKey,
    body: Uint8Array,
    done: (answer: Answer | undefined) => void,
    options: RequestOptions = {},
  ): void {
    this.#router.request(target, false, encode([ASK.service, body]), options, done);
  }

  /** Tells the same service of a neighbour. @returns whether there is one */
  tell(key: MeshKey, body: Uint8Array): boolean {
    const neighbour = this.#table.neighbours.get(key);
    if (neighbour !== undefined) this.#send(neighbour, { kind: "note", body });
    return neighbour !== undefined;
  }

  /** First contacts, from an edge, a ticket or a remembered address. Ready once enough links stand. */
  join(contacts: readonly MeshContact[]): void {
    for (const contact of contacts) this.#openings.open(contact);
  }

  /** Says goodbye and leaves nothing running. */
  close(): void {
    if (this.#closed) return;
    this.service?.leave();
    for (const neighbour of this.#table.neighbours.values())
      this.#send(neighbour, { kind: "bye", reason: "leaving", others: NOBODY });
    this.kill();
  }

  /** As close, without a word. */
  kill(): void {
    this.#closed = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers = [];
    this.#announcer.close();
    this.#openings.close();
    this.#arrivals.close();
    this.#router.close();
    this.#table.clear();
  }

  // --- what neighbours say ---

  #operate(from: Neighbour, message: MeshMessage): void {
    switch (message.kind) {
      case "greet": {
        const isFirst = !from.greeted;
        from.place = message.place;
        from.greeted = true;
        from.isBeacon = message.beacon;
        this.#learn(from, message.entries, []);
        if (isFirst) this.#merger.greeted(from);
        return;
      }
      case "delta":
        from.place = message.place;
        this.#learn(from, message.entries, message.gone);
        return;
      case "ping":
        this.#send(from, {
          kind: "pong",
          id: message.id,
          place: this.#place,
          error: this.#place.error,
        });
        return;
      case "pong":
        this.#pong(from, message);
        return;
      case "forward":
        this.#router.receiveForward(from, message);
        return;
      case "ack":
        this.#router.receiveAck(from, message.mids);
        return;
      case "reply":
        this.#router.receiveReply(from, message);
        return;
      case "who": {
        const contact = this.#table.neighbours.get(message.key)?.link.contact ?? new Uint8Array(0);
        this.#send(from, { kind: "contact", key: message.key, contact });
        return;
      }
      case "contact":
        if (this.#merger.told(from, message.key, message.contact)) return;
        if (!this.#openings.told(message.key, message.contact) && !this.isReady) this.#meet([message]);
        return;
      case "bye":
        // Gone, or full: whoever still names it would have us ask in vain.
        this.#openings.backOff(from.key);
        this.#drop(from);
        from.link.close();
        if (from.isBeacon && message.reason === "leaving") this.#host.beaconLost?.();
        if (!this.isReady) this.#host.turnedAway?.(message.others);
        return;
      case "note":
        this.service?.receive(from.key, message.body);
        return;
    }
  }

  #pong(from: Neighbour, { id, place, error }: Extract<MeshMessage, { kind: "pong" }>): void {
    const rttMs = this.#failures.answered(from, id);
    if (rttMs === undefined) return;
    from.measured(rttMs);
    from.place = place;
    this.#place.measured(rttMs, place, error);
    this.#announcer.located(from);
  }

  #learn(from: Neighbour, entries: readonly DigestEntry[], gone: readonly MeshKey[]): void {
    const limit = this.#table.siblingDistance;
    let delayMs: number | undefined;
    for (const key of gone) {
      if (!from.digest.delete(key)) continue;
      // Who has lost it may be right: ask at once instead of waiting for the next ping.
      const shared = this.#table.neighbours.get(key);
      if (shared !== undefined && !shared.isSuspect) this.#failures.ping(shared);
    }
    for (const entry of entries) {
      if (entry.key === this.#host.key || !from.digest.set(entry)) continue;
      if (this.#table.neighbours.has(entry.key)) continue;
      // What waits here for that peer goes there.
      this.#arrivals.ended(entry.key);
      if (distance(entry.key, this.#host.key) < limit) delayMs = SIBLING_DELAY_MS;
      else if (this.#table.isShort) delayMs ??= BUCKET_DELAY_MS;
    }
    if (delayMs === undefined) return;
    this.#openings.learned();
    this.#openings.plan(delayMs);
  }

  // --- who is there ---

  #tick(): void {
    this.#failures.check();
    this.#announcer.catchUp();
    this.#shed();
    this.#openings.plan(BUCKET_DELAY_MS);
  }

  #shed(): void {
    const surplus = this.#table.surplus(this.#host.clock.monotonicMs());
    if (surplus === undefined) return;
    this.#send(surplus, { kind: "bye", reason: "surplus", others: NOBODY });
    this.#drop(surplus);
    surplus.link.close();
  }

  #giveUp(neighbour: Neighbour): void {
    this.#openings.backOff(neighbour.key);
    this.#drop(neighbour);
    neighbour.link.close();
    if (neighbour.isBeacon) this.#host.beaconLost?.();
  }

  #isLinked(neighbour: Neighbour): boolean {
    return this.#table.neighbours.get(neighbour.key) === neighbour;
  }

  #drop(neighbour: Neighbour): void {
    if (!this.#isLinked(neighbour)) return;
    this.#table.delete(neighbour.key);
    this.#announcer.gone(neighbour.key);
    this.#router.lost(neighbour);
    this.#openings.learned();
    this.#host.changed?.();
    this.service?.changed(neighbour.key);
    this.#openings.plan(SIBLING_DELAY_MS);
  }

  /** One by chance to ask now; hardly ever where all are linked over a relay. */
  #anyToAsk(): Neighbour | undefined {
    const { random } = this.#host;
    const well = [...this.#table.neighbours.values()].filter((one) => !one.isSuspect);
    const direct = well.filter((one) => !one.isRelayed);
    if (direct.length > 0) return anyOf(direct, random);
    return random.unit() * SELF_LOOKUP_RELAYED < 1 ? anyOf(well, random) : undefined;
  }

  /** Finds out whether somebody is closer than the siblings known: through one neighbour, which may know another part. */
  #lookForSelf(through: Neighbour | undefined): void {
    if (through === undefined) return;
    const { key } = this.#host;
    if (!this.isReady) {
      this.lookup(key, (found) => this.#meet(found ?? []), { through });
      return;
    }
    // Nearly always there is nobody new, so the contacts are asked for only then.
    this.#router.request(key, false, encode([ASK.closestKeys]), { through }, (answer) => {
      const isNew = (each: MeshKey): boolean =>
        each !== key && !this.has(each) && distance(each, key) < this.#table.siblingDistance;
      if (answer === undefined || !(readKeys(answer.body) ?? []).some(isNew)) return;
      this.lookup(key, (found) => this.#meet(found ?? []), { through });
    });
  }

  #hasRoomFor(key: MeshKey, isNewcomer: boolean, prefix?: string): boolean {
    return !this.#closed && this.#table.hasRoom(key, isNewcomer, prefix);
  }

  #meet(contacts: readonly MeshContact[]): void {
    for (const contact of contacts) {
      if (contact.key === this.#host.key || this.has(contact.key)) continue;
      if (distance(contact.key, this.#host.key) < this.#table.siblingDistance) this.#openings.open(contact);
    }
  }

  #send(neighbour: Neighbour, message: MeshMessage): void {
    const { kind } = message;
    const traffic = kind === "pong" ? "ping" : kind === "who" ? "contact" : kind;
    this.#sendBytes(neighbour, encodeMesh(message), traffic);
  }

  #sendBytes(neighbour: Neighbour, bytes: Uint8Array, kind: Traffic): void {
    this.#host.sent?.(kind, bytes.length);
    neighbour.link.send(bytes);
  }

  #repeat(everyMs: number, action: () => void): void {
    const { clock, random } = this.#host;
    const index = this.#timers.length;
    const again = (): void => {
      this.#timers[index] = clock.setTimer(spreadMs(everyMs, random), () => {
        if (this.#closed) return;
        again();
        action();
      });
    };
    again();
  }
}

function anyOf<T>(all: readonly T[], random: Random): T | undefined {
  return all[Math.floor(random.unit() * all.length)];
}
