/**
 * Own requests, end to end: copies go out by other first hops when no answer comes in time, when somebody denies or shows no proof, and the
 * first answer ends them all. How a copy finds its way is the router's matter.
 */
import type { Clock, Random, Timer } from "../../runtime.ts";
import { BODY_BYTES_MAX, DEAD_MAX, type Forward, type Reply } from "./mesh-messages.ts";
import { distance, type MeshKey } from "./mesh-key.ts";
import type { Neighbour } from "./neighbour.ts";
import { type RouteChoice, UNBOUNDED } from "./next-hop.ts";

const TTL_FIRST = 24;
const BUDGET_MS = 4_000;
/** Own requests under way, however many copies of each; past that they fail at once. */
const REQUESTS_MAX = 256;

/** When more copies go out, by other first hops: after so long, so many. */
const RETRIES: readonly { readonly afterMs: number; readonly copies: number }[] = [
  { afterMs: 400, copies: 2 },
  { afterMs: 1_500, copies: 4 },
];
const GIVE_UP_MS = 5_000;
const COPIES_AFTER_DENIAL = 2;
const DENIAL_CHECKED_AFTER_MS = 500;
/** The last copies, before what nobody proves is believed: a denial, and a claim, which is a liar's or an older peer's. */
const COPIES_AFTER_AGREEMENT = { denial: 1, claim: 4 } as const;
const ROUND_TRIPS_BEFORE_RETRY = 3;
/** Answers that cannot be right, for one request; past that nothing more is sent because of them. */
const LIES_MAX = 8;
/** A lookup's round trip until one was measured, and the weight of each that is. */
const FIRST_RTT_MS = 150;
const RTT_SMOOTHING = 0.1;

const MID_COUNT: number = 2 ** 52;

export interface Answer {
  readonly body: Uint8Array;
  readonly hops: number;
  /** From the request to this answer. */
  readonly rttMs: number;
  /** A copy that went out at once brought it, none of those sent later because no answer or a denial had come. */
  readonly firstTry: boolean;
}

export interface RequestOptions {
  /** Copies sent at once by different first hops. @default 1 */
  readonly copies?: number;
  /** The first hop of the first copy. */
  readonly through?: Neighbour;
  /** Whoever on the way can answer may do so; else only the peer closest to the key. @default false */
  readonly open?: boolean;
  /** Whether an answer can be right. One that cannot be is a liar's, and another copy goes out at once. @default any is */
  isRight?(body: Uint8Array): boolean;
  /**
   * Says, now or later, whether the peer that was asked shows that an answer is its own. One that does not show it is a claim, which anybody on the
   * way may have made, and counts as little as a denial. @default none has to
   */
  isProved?(body: Uint8Array, done: (isProved: boolean) => void): void;
  /** Shared by requests for the same thing, so that they go by different peers. */
  readonly apart?: Apart;
}

/** Peers that copies of a request go by, so that others are taken where there are any: one liar is not to answer them all. */
export class Apart {
  readonly first: Set<MeshKey> = new Set();
  /** Of their addresses. */
  readonly #prefixes = new Set<string>();
  /** Those behind the first hops that these count on (next-hop.ts). */
  readonly second: Set<MeshKey> = new Set();

  took({ key, prefix }: Neighbour): void {
    this.first.add(key);
    if (prefix !== undefined) this.#prefixes.add(prefix);
  }

  /** Whether copies have gone by it, or by somebody at its prefix. */
  isNear({ key, prefix = "" }: Neighbour): boolean {
    return this.first.has(key) || this.#prefixes.has(prefix);
  }
}

export interface RequesterOptions {
  readonly own: MeshKey;
  readonly clock: Clock;
  readonly random: Random;
  /** Takes a copy to its first hop, another than those taken where there is one, and at another prefix if it may be. @returns that hop, if there was one, and what it counts on */
  start(copy: Forward, apart: Apart, through: Neighbour | undefined): RouteChoice | undefined;
}

interface Copy {
  readonly sentAtMs: number;
  /** Sent with the request itself. */
  readonly isFirst: boolean;
  through: Neighbour | undefined;
  /** What it brought was looked at, which is done once. */
  isChecked: boolean;
}

interface OwnRequest {
  readonly target: MeshKey;
  readonly exact: boolean;
  readonly body: Uint8Array;
  readonly open: boolean;
  readonly sentAtMs: number;
  readonly done: (answer: Answer | undefined) => void;
  readonly apart: Apart;
  isRight(body: Uint8Array): boolean;
  readonly isProved: RequestOptions["isProved"];
  lies: number;
  readonly copies: Map<number, Copy>;
  tries: number;
  timer: Timer | undefined;
  end: Timer | undefined;
  /** Copies that ended before they came to the peer, as it seems: denied, or answered without a proof. */
  readonly denied: Set<number>;
  denialsAgreed: boolean;
  /** The first of the answers without a proof, and who brought them. */
  claim: Answer | undefined;
  readonly claimed: (Neighbour | undefined)[];
  over: boolean;
}

export class Requester {
  readonly #options: RequesterOptions;
  /** By the id of each of its copies. */
  readonly #requests = new Map<number, OwnRequest>();
  #underWay = 0;
  #rttMs = FIRST_RTT_MS;
  #closed = false;

  constructor(options: RequesterOptions) {
    this.#options = options;
  }

  /**
   * Sends a request to the peer of that key (`exact`), or to the one closest to it, and calls back once: with the answer, or
   * undefined when none came in five seconds.
   */
  request(
    target: MeshKey,
    exact: boolean,
    body: Uint8Array,
    {
      copies = 1,
      through,
      open = false,
      apart = new Apart(),
      isRight = () => true,
      isProved,
    }: RequestOptions,
    done: (answer: Answer | undefined) => void,
  ): void {
    const { clock } = this.#options;
    if (this.#closed || this.#underWay >= REQUESTS_MAX || body.length > BODY_BYTES_MAX) {
      done(undefined);
      return;
    }
    const request: OwnRequest = {
      target,
      exact,
      body,
      open,
      sentAtMs: clock.monotonicMs(),
      done,
      apart,
      isRight,
      isProved,
      lies: 0,
      copies: new Map(),
      tries: 0,
      timer: undefined,
      end: undefined,
      denied: new Set(),
      denialsAgreed: false,
      claim: undefined,
      claimed: [],
      over: false,
    };
    this.#underWay += 1;
    request.end = clock.setTimer(GIVE_UP_MS, () => this.#finish(request, verdictOn(request)));
    for (let i = 0; i < copies; i++) this.#launch(request, true, i === 0 ? through : undefined);
    this.#planRetry(request);
  }

  /** An answer came, or word that nobody has the key. */
  answered(reply: Reply): void {
    const { mid, body, found } = reply;
    const request = this.#requests.get(mid);
    const copy = request?.copies.get(mid);
    if (request === undefined || copy === undefined) return;
    if (!found) {
      this.#denied(request, mid);
      return;
    }
    if (!request.isRight(body)) {
      copy.through?.outcome(false);
      // That copy is over, however often it is answered.
      request.copies.delete(mid);
      this.#requests.delete(mid);
      request.lies += 1;
      if (request.lies <= LIES_MAX) this.#launch(request, false);
      return;
    }
    if (copy.isChecked) return;
    copy.isChecked = true;
    const atMs = this.#options.clock.monotonicMs();
    const { isProved = (_, done) => done(true) } = request;
    isProved(body, (isTrue) => this.#judged(request, copy, { reply, atMs, isTrue }));
  }

  #judged(
    request: OwnRequest,
    copy: Copy,
    { reply, atMs, isTrue }: { readonly reply: Reply; readonly atMs: number; readonly isTrue: boolean },
  ): void {
    if (request.over) return;
    const { mid, body, hops } = reply;
    const answer = { body, hops, rttMs: atMs - request.sentAtMs, firstTry: copy.isFirst };
    if (!isTrue) {
      request.claim ??= answer;
      request.claimed.push(copy.through);
      this.#denied(request, mid);
      return;
    }
    copy.through?.outcome(true);
    for (const liar of request.claimed) liar?.outcome(false);
    // Each copy has an id of its own, so that a late answer is no early one of a retry: where all are slow, retries wait longer.
    this.#rttMs += RTT_SMOOTHING * (atMs - copy.sentAtMs - this.#rttMs);
    this.#finish(request, answer);
  }

  /** Whether an answer to that copy is still waited for. */
  isWaiting(mid: number): boolean {
    return this.#requests.has(mid);
  }

  /** Its first hop was silent, and another was taken. */
  rerouted(mid: number, through: Neighbour): void {
    const request = this.#requests.get(mid);
    const copy = request?.copies.get(mid);
    if (request === undefined || copy === undefined) return;
    request.apart.took(through);
    copy.through = through;
  }

  close(): void {
    this.#closed = true;
    for (const request of new Set(this.#requests.values())) this.#finish(request, undefined);
  }

  #launch(request: OwnRequest, isFirst: boolean, through?: Neighbour): void {
    if (request.over) return; // The copy before was answered on the spot.
    const { own, clock, random } = this.#options;
    const { apart } = request;
    const mid = Math.floor(random.unit() * MID_COUNT);
    const copy: Copy = { sentAtMs: clock.monotonicMs(), isFirst, through: undefined, isChecked: false };
    request.copies.set(mid, copy);
    this.#requests.set(mid, request);
    const message: Forward = {
      kind: "forward",
      mid,
      target: request.target,
      exact: request.exact,
      greedy: false,
      open: request.open,
      strays: 0,
      ttl: TTL_FIRST,
      budgetMs: BUDGET_MS,
      origin: own,
      promise: UNBOUNDED,
      path: [],
      dead: [...apart.second].slice(-DEAD_MAX),
      body: request.body,
    };
    const choice = this.#options.start(message, apart, through);
    if (choice === undefined) return;
    copy.through = choice.neighbour;
    apart.took(choice.neighbour);
    const second = distance(request.target, choice.promise);
    const isKnown = choice.promise < UNBOUNDED && second !== choice.neighbour.key;
    if (isKnown && !(request.exact && second === request.target)) apart.second.add(second);
  }

  #planRetry(request: OwnRequest): void {
    const { clock } = this.#options;
    const retry = RETRIES[request.tries];
    if (retry === undefined || request.over) return;
    const afterMs = Math.max(retry.afterMs, ROUND_TRIPS_BEFORE_RETRY * this.#rttMs * (request.tries + 1));
    request.timer = clock.setTimer(Math.max(0, request.sentAtMs + afterMs - clock.monotonicMs()), () => {
      for (const copy of request.copies.values()) copy.through?.outcome(false);
      request.tries += 1;
      for (let i = 0; i < retry.copies; i++) this.#launch(request, false);
      this.#planRetry(request);
    });
  }

  /** Somebody says that nobody has the key, or claims to be who has it. Others are asked at once, and it is believed when they agree. */
  #denied(request: OwnRequest, mid: number): void {
    // Said again it is nothing new: or one reply would send two copies, as often as somebody likes.
    if (request.denied.has(mid)) return;
    request.denied.add(mid);
    if (request.denied.size === 1) for (let i = 0; i < COPIES_AFTER_DENIAL; i++) this.#launch(request, false);
    if (request.denied.size < request.copies.size || request.over) return;
    if (request.denialsAgreed) {
      this.#finish(request, verdictOn(request));
      return;
    }
    // Somebody who has just come may not be known to all: asked once more, a little later.
    request.denialsAgreed = true;
    request.timer?.cancel();
    request.timer = this.#options.clock.setTimer(DENIAL_CHECKED_AFTER_MS, () => {
      const count = COPIES_AFTER_AGREEMENT[request.claim === undefined ? "denial" : "claim"];
      for (let i = 0; i < count; i++) this.#launch(request, false);
    });
  }

  #finish(request: OwnRequest, answer: Answer | undefined): void {
    if (request.over) return;
    request.over = true;
    this.#underWay -= 1;
    request.timer?.cancel();
    request.end?.cancel();
    for (const mid of request.copies.keys()) this.#requests.delete(mid);
    request.done(answer);
  }
}

/** What nobody has proved is believed when most of those that said anything say it. */
function verdictOn({ claim, claimed, denied }: OwnRequest): Answer | undefined {
  return 2 * claimed.length > denied.size ? claim : undefined;
}
