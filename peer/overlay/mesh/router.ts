/**
 * Requests on their way through the overlay: handed from neighbour to neighbour, each hop acknowledged, taken elsewhere when the
 * acknowledgement does not come, answered along the path they came. A forwarder keeps no state of a request but what it
 * waits for; one message in gives one message out, so nobody is made to send more than was sent to him.
 */
import type { Clock, Random, Timer } from "../../runtime.ts";
import { Allowance } from "../allowance.ts";
import type { Arrivals } from "./arrivals.ts";
import type { LinkTable } from "./link-table.ts";
import { ACKS_MAX, DEAD_MAX, encodeMesh, type Forward, PATH_MAX, type Reply } from "./mesh-messages.ts";
import { distance, type MeshKey } from "./mesh-key.ts";
import type { Neighbour } from "./neighbour.ts";
import { chooseHop, closestHop, type RouteChoice, type RouteQuestion, UNBOUNDED } from "./next-hop.ts";
import { type Apart, Requester } from "./requester.ts";

const STRAYS_MAX = 3;
/** Acknowledgements wait so long for company. */
const ACK_DELAY_MS = 10;
/** Requests remembered, so that one that comes again is acknowledged and not carried again. */
const SEEN_MAX = 4096;
/** Hops waiting for an acknowledgement; past that requests are dropped. */
const HOPS_PENDING_MAX = 1024;
/** Frames a neighbour may have forwarded in a second, and at once. */
const FORWARDS_PER_SECOND = 200;
const FORWARDS_BURST = 400;

export interface RouterOptions {
  readonly own: MeshKey;
  readonly clock: Clock;
  readonly random: Random;
  readonly table: LinkTable;
  readonly arrivals: Arrivals;
  /**
   * Answers a request that ends here, or one that is open and passes; once at most, now or later.
   * @returns whether it is answered here; one that passes goes on if not
   */
  serve(request: Forward, ends: boolean, answer: (body: Uint8Array) => void): boolean;
  /** An answer to somebody else passes. */
  passed(body: Uint8Array): void;
  send(neighbour: Neighbour, message: Uint8Array, what: "forward" | "ack" | "reply"): void;
  /** A neighbour did not acknowledge. */
  suspect(neighbour: Neighbour): void;
}

interface Hop {
  readonly neighbour: Neighbour;
  readonly request: Forward;
  readonly sentAtMs: number;
  readonly timer: Timer;
}

export class Router {
  readonly #options: RouterOptions;
  readonly #hops = new Map<number, Hop>();
  readonly #requester: Requester;
  #seen = new Set<number>();
  #seenBefore = new Set<number>();
  #acksTimer: Timer | undefined;
  readonly #ackers = new Set<Neighbour>();
  readonly #allowances = new Map<MeshKey, Allowance>();
  /** Forwards dropped: no way, too old, too many. */
  dropped = 0;

  constructor(options: RouterOptions) {
    this.#options = options;
    const { own, clock, random } = options;
    this.#requester = new Requester({
      own,
      clock,
      random,
      start: (copy, apart, through) => {
        this.#remember(copy.mid);
        return this.#route(copy, apart, through);
      },
    });
  }

  /** Sends a request of this peer: see `Requester.request`. */
  request(...request: Parameters<Requester["request"]>): void {
    this.#requester.request(...request);
  }

  receiveForward(from: Neighbour, request: Forward): void {
    if (!this.#isAllowed(from)) {
      this.dropped += 1;
      return;
    }
    from.usedAtMs = this.#options.clock.monotonicMs();
    this.#acknowledge(from, request.mid);
    // A request may come back once, for plain steps from the best peer on its path.
    const seenAs = request.greedy ? -request.mid : request.mid;
    if (this.#seen.has(seenAs) || this.#seenBefore.has(seenAs)) return;
    this.#remember(seenAs);
    if (request.ttl === 0 || request.budgetMs <= 0 || request.path.length >= PATH_MAX) {
      this.dropped += 1;
      return;
    }
    // The path must end where the request came from, or replies would go to somebody who never asked.
    if (request.path.at(-1) !== from.key) {
      this.dropped += 1;
      return;
    }
    this.#route({
      ...request,
      ttl: request.ttl - 1,
      budgetMs: request.budgetMs - Math.round(from.rttMs / 2),
    });
  }

  receiveAck(from: Neighbour, mids: readonly number[]): void {
    for (const mid of mids) {
      const hop = this.#hops.get(mid);
      if (hop?.neighbour !== from) continue;
      hop.timer.cancel();
      this.#hops.delete(mid);
      from.measured(this.#options.clock.monotonicMs() - hop.sentAtMs);
    }
  }

  receiveReply(from: Neighbour, reply: Reply): void {
    if (reply.origin === this.#options.own) {
      this.#requester.answered(reply);
      return;
    }
    if (!this.#isAllowed(from)) {
      this.dropped += 1;
      return;
    }
    this.#options.passed(reply.body);
    this.#passReply(reply);
  }

  /** What waits for it is taken elsewhere at once. */
  lost(neighbour: Neighbour): void {
    this.#ackers.delete(neighbour);
    this.#allowances.delete(neighbour.key);
    for (const hop of [...this.#hops.values()]) if (hop.neighbour === neighbour) this.#reroute(hop);
  }

  close(): void {
    this.#acksTimer?.cancel();
    for (const { timer } of this.#hops.values()) timer.cancel();
    this.#hops.clear();
    this.#requester.close();
  }

  // --- forwarding ---

  /** Takes a request one step on, or ends it here. @returns that step, if there was one */
  #route(request: Forward, apart?: Apart, through?: Neighbour): RouteChoice | undefined {
    const { own, table } = this.#options;
    if (request.exact && request.target === own) {
      this.#serve(request, true);
      return undefined;
    }
    if (request.open && this.#serve(request, false)) return undefined;
    if (through !== undefined && !through.isSuspect) {
      return this.#send({ neighbour: through, promise: UNBOUNDED }, request);
    }
    const neighbours = table.neighbours;
    const direct = request.exact ? neighbours.get(request.target) : undefined;
    if (direct !== undefined && !request.dead.includes(direct.key)) {
      return this.#send({ neighbour: direct, promise: 0 }, request);
    }
    const question = questionOf(request, own);
    const choose = (avoid?: RouteQuestion["avoid"]): RouteChoice | undefined =>
      chooseHop(neighbours.values(), avoid === undefined ? question : { ...question, avoid });
    // Another first hop where there is one, of another network of addresses if it may be; the same again where there is none.
    const other = apart && (choose((one) => apart.isNear(one)) ?? choose(({ key }) => apart.first.has(key)));
    const choice = other ?? choose();
    return choice === undefined ? this.#atMinimum(request) : this.#send(choice, request);
  }

  /**
   * Nobody promises more. A peer that is about to come is waited for; else the next best is looked for without the promise, then only plain
   * steps count, and then it ends here.
   */
  #atMinimum(request: Forward): RouteChoice | undefined {
    const { own, table, arrivals } = this.#options;
    const neighbours = table.neighbours;
    const { target, path, exact } = request;
    // One of its own may be what brings that peer here.
    if (exact && path.length > 0 && arrivals.wait(target, () => this.#route(request))) return undefined;
    const question = { ...questionOf(request, own), promise: UNBOUNDED };
    if (!request.greedy) {
      const again = request.promise === UNBOUNDED ? undefined : chooseHop(neighbours.values(), question);
      if (again !== undefined) return this.#send(again, request);
      // For a key the best peer on the path may be the one to answer; for a peer it has looked already.
      const step = closestHop(neighbours.values(), question, question.below, exact ? path : []);
      if (step !== undefined) return this.#send(step, { ...request, greedy: true, promise: UNBOUNDED });
    }
    if (!exact) {
      // Who asks for its own place would learn nothing from itself; there may be another copy under way.
      if (question.below < UNBOUNDED) this.#serve(request, true);
      return undefined;
    }
    const stray =
      request.strays < STRAYS_MAX
        ? closestHop(neighbours.values(), question, Number.POSITIVE_INFINITY, path)
        : undefined;
    if (stray === undefined) {
      // Whoever asks and has nobody to ask knows nothing.
      if (path.length === 0) this.dropped += 1;
      else this.#reply(request, false, new Uint8Array(0));
      return undefined;
    }
    return this.#send(stray, { ...request, greedy: false, promise: UNBOUNDED, strays: request.strays + 1 });
  }

  /** @returns the choice */
  #send(choice: RouteChoice, request: Forward): RouteChoice {
    const { neighbour, promise } = choice;
    const { own, clock } = this.#options;
    if (this.#hops.size >= HOPS_PENDING_MAX) {
      this.dropped += 1;
      return choice;
    }
    const sent: Forward = { ...request, promise, path: [...request.path, own] };
    const timer = clock.setTimer(neighbour.timeoutMs, () => {
      const hop = this.#hops.get(request.mid);
      if (hop?.timer !== timer) return;
      this.#options.suspect(neighbour);
      this.#reroute(hop);
    });
    // The request as it came, for another way.
    neighbour.usedAtMs = clock.monotonicMs();
    this.#hops.set(request.mid, { neighbour, request, sentAtMs: neighbour.usedAtMs, timer });
    this.#options.send(neighbour, encodeMesh(sent), "forward");
    return choice;
  }

  #reroute({ neighbour, request, timer }: Hop): void {
    timer.cancel();
    this.#hops.delete(request.mid);
    const isOwn = request.origin === this.#options.own;
    if (isOwn && !this.#requester.isWaiting(request.mid)) return; // answered meanwhile
    const dead = [...request.dead, neighbour.key].slice(-DEAD_MAX);
    const first = this.#route({ ...request, dead, promise: UNBOUNDED });
    if (isOwn && request.path.length === 0 && first !== undefined)
      this.#requester.rerouted(request.mid, first.neighbour);
  }

  #serve(request: Forward, ends: boolean): boolean {
    return this.#options.serve(request, ends, (body) => this.#reply(request, true, body));
  }

  #reply({ mid, origin, path }: Forward, found: boolean, body: Uint8Array): void {
    const reply: Reply = { kind: "reply", mid, origin, path, hops: path.length, found, body };
    if (origin === this.#options.own) this.#requester.answered(reply);
    else this.#passReply(reply);
  }

  /** Back along the path; a peer on it that is gone is stepped over. */
  #passReply(reply: Reply): void {
    const path = [...reply.path];
    for (let next = path.pop(); next !== undefined; next = path.pop()) {
      const neighbour = this.#options.table.neighbours.get(next);
      if (neighbour === undefined || neighbour.isSuspect) continue;
      this.#options.send(neighbour, encodeMesh({ ...reply, path }), "reply");
      return;
    }
    // Who asked may itself be suspect; a link to it is still the best way to it.
    const { own, table } = this.#options;
    const question = { target: reply.origin, dead: [] };
    const towards =
      table.neighbours.get(reply.origin) ??
      closestHop(table.neighbours.values(), question, distance(own, reply.origin))?.neighbour;
    if (towards === undefined) this.dropped += 1;
    else this.#options.send(towards, encodeMesh({ ...reply, path: [] }), "reply");
  }

  #acknowledge(to: Neighbour, mid: number): void {
    to.acks.push(mid);
    this.#ackers.add(to);
    if (to.acks.length >= ACKS_MAX) this.#flushAcks();
    else this.#acksTimer ??= this.#options.clock.setTimer(ACK_DELAY_MS, () => this.#flushAcks());
  }

  #flushAcks(): void {
    this.#acksTimer?.cancel();
    this.#acksTimer = undefined;
    for (const neighbour of this.#ackers) {
      this.#options.send(neighbour, encodeMesh({ kind: "ack", mids: neighbour.acks }), "ack");
      neighbour.acks = [];
    }
    this.#ackers.clear();
  }

  #remember(mid: number): void {
    if (this.#seen.size >= SEEN_MAX / 2) {
      this.#seenBefore = this.#seen;
      this.#seen = new Set();
    }
    this.#seen.add(mid);
  }

  #isAllowed(from: Neighbour): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    const allowance =
      this.#allowances.get(from.key) ?? new Allowance(FORWARDS_BURST, FORWARDS_PER_SECOND, nowMs);
    this.#allowances.set(from.key, allowance);
    return allowance.take(nowMs);
  }
}

/** Whoever asks for its own place wants to hear of others: it is not gone to, and nobody has to be closer than it. */
function questionOf(
  { target, origin, exact, path, dead, promise, greedy }: Forward,
  own: MeshKey,
): RouteQuestion {
  const question = { own, target, below: distance(own, target), path, dead, promise, greedy };
  if (exact || target !== origin) return question;
  if (own === origin) question.below = UNBOUNDED;
  return { ...question, path: path.slice(1), dead: [...dead, origin] };
}
