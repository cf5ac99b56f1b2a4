/**
 * Messages that were told of and have not come: when which neighbour is asked, and whom next when it does not give. How long an answer may take
 * is learned from each neighbour's answers. A promise that is not kept costs its maker; one that is kept late does not end the wait.
 */
import type { PeerId } from "../../../shared/ids.ts";
import type { Clock, Timer } from "../../runtime.ts";
import { IDS_MAX } from "./protocol.ts";
import type { MessageId } from "./envelope.ts";

/** Waited for at once; past that what is told of is not asked for. */
export const PULLS_MAX = 4_096;
/** Of these one neighbour may cause so many: who tells lies without end must not crowd out the others. */
export const PULLS_OF_ONE_MAX = 512;
/** Neighbours of one message that may be asked; past that they are not remembered. */
const TELLERS_MAX = 8;
/** How long an answer may take of who has not answered before, and the message at 64 KB/s on top; also the least after which a promise is broken. */
const ANSWER_MS = 500;
const BYTES_PER_MS = 64;
/** Of who has answered: as retransmissions are timed in RFC 6298, within these bounds. */
const ANSWER_MS_MIN = 150;
const ANSWER_MS_MAX = 1_000;
const RTT_SMOOTHING = 1 / 8;
const VARIATION_SMOOTHING = 1 / 4;
const VARIATIONS = 4;
/** When all were asked, the last answer may take so long. */
export const LAST_ANSWER_MS = 10_000;

interface Asked {
  readonly neighbour: PeerId;
  readonly atMs: number;
  /** From then on its promise is broken; infinite: that was noted. */
  brokenAtMs: number;
}

interface Pull {
  readonly publisher: PeerId;
  /** Who told of it first, and when. */
  readonly by: PeerId;
  readonly toldAtMs: number;
  readonly tellers: PeerId[];
  readonly bytes: number;
  /** The last one is being waited for. */
  readonly asked: Asked[];
  /** When the next teller is asked, or, without one, nothing is waited for any more. */
  stepAtMs: number;
}

/** Of one neighbour, ms. */
interface AnswerTimes {
  rtt: number;
  variation: number;
}

export interface PullsOptions {
  readonly clock: Clock;
  /** Asks a neighbour. @returns false when it is gone */
  ask(neighbour: PeerId, ids: readonly MessageId[]): boolean;
  /** It was asked, and gave nothing in time. */
  broken(neighbour: PeerId): void;
}

export class Pulls {
  readonly #options: PullsOptions;
  readonly #all = new Map<MessageId, Pull>();
  /** How many each neighbour has caused. */
  readonly #counts = new Map<PeerId, number>();
  readonly #times = new Map<PeerId, AnswerTimes>();
  #timer: Timer | undefined;
  #timerMs = Number.POSITIVE_INFINITY;

  constructor(options: PullsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#all.size;
  }

  /** Whether a message of the publisher that was told of by then has not come, and may still. */
  isAwaited(publisher: PeerId, toldByMs: number): boolean {
    // The oldest come first: what was told of later is not looked at.
    for (const pull of this.#all.values()) {
      if (pull.toldAtMs > toldByMs) return false;
      if (pull.publisher === publisher) return true;
    }
    return false;
  }

  /** A neighbour has told of messages that have not come; it is asked after so long, if they have not come by then. */
  told(from: PeerId, publisher: PeerId, ids: readonly MessageId[], bytes: number, patienceMs: number): void {
    const nowMs = this.#options.clock.monotonicMs();
    const atOnce: MessageId[] = [];
    for (const id of ids) {
      const known = this.#all.get(id);
      if (known !== undefined) {
        this.#toldAgain(known, from, nowMs);
        continue;
      }
      if (this.#all.size >= PULLS_MAX || (this.#counts.get(from) ?? 0) >= PULLS_OF_ONE_MAX) break;
      const stepAtMs = nowMs + patienceMs;
      const pull: Pull = { publisher, by: from, toldAtMs: nowMs, tellers: [], bytes, asked: [], stepAtMs };
      this.#all.set(id, pull);
      this.#counts.set(from, (this.#counts.get(from) ?? 0) + 1);
      if (patienceMs > 0) pull.tellers.push(from);
      else {
        this.#ask(pull, from, nowMs);
        atOnce.push(id);
      }
      this.#wakeAt(dueMs(pull));
    }
    if (atOnce.length > 0) this.#options.ask(from, atOnce);
  }

  /** It is here. @returns whether the neighbour that brought it was asked for it */
  came(id: MessageId, from: PeerId): boolean {
    const pull = this.#all.get(id);
    if (pull === undefined) return false;
    this.#delete(id, pull);
    const asked = pull.asked.find(({ neighbour }) => neighbour === from);
    if (asked !== undefined) this.#learn(from, this.#options.clock.monotonicMs() - asked.atMs);
    return asked !== undefined;
  }

  /** A neighbour is gone: what it was asked for is asked of others. */
  gone(neighbour: PeerId): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#times.delete(neighbour);
    for (const pull of this.#all.values()) {
      const at = pull.tellers.indexOf(neighbour);
      if (at >= 0) pull.tellers.splice(at, 1);
      const askedAt = pull.asked.findIndex((asked) => asked.neighbour === neighbour);
      if (askedAt < 0) continue;
      const isLast = askedAt === pull.asked.length - 1;
      pull.asked.splice(askedAt, 1);
      if (!isLast || (pull.tellers.length === 0 && pull.asked.length > 0)) continue;
      pull.stepAtMs = nowMs;
      this.#wakeAt(nowMs);
    }
  }

  close(): void {
    this.#timer?.cancel();
    this.#all.clear();
    this.#counts.clear();
  }

  /** Who tells of what all others were asked for in vain is asked at once. */
  #toldAgain(pull: Pull, from: PeerId, nowMs: number): void {
    const isKnown = pull.tellers.includes(from) || pull.asked.some(({ neighbour }) => neighbour === from);
    if (isKnown || pull.tellers.length + pull.asked.length >= TELLERS_MAX) return;
    pull.tellers.push(from);
    const last = pull.asked.at(-1);
    if (pull.tellers.length > 1 || last === undefined) return;
    pull.stepAtMs = Math.max(nowMs, last.atMs + this.#answerMs(last.neighbour, pull.bytes));
    this.#wakeAt(pull.stepAtMs);
  }

  #delete(id: MessageId, { by }: Pull): void {
    this.#all.delete(id);
    const left = (this.#counts.get(by) ?? 1) - 1;
    if (left > 0) this.#counts.set(by, left);
    else this.#counts.delete(by);
  }

  #wakeAt(atMs: number): void {
    if (atMs >= this.#timerMs) return;
    this.#timer?.cancel();
    this.#timerMs = atMs;
    const { clock } = this.#options;
    this.#timer = clock.setTimer(Math.max(0, atMs - clock.monotonicMs()), () => this.#act());
  }

  #act(): void {
    this.#timerMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#options.clock.monotonicMs();
    const asks = new Map<PeerId, MessageId[]>();
    const broken = new Set<PeerId>();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [id, pull] of this.#all) {
      for (const asked of pull.asked) {
        if (asked.brokenAtMs > nowMs) continue;
        asked.brokenAtMs = Number.POSITIVE_INFINITY;
        broken.add(asked.neighbour);
      }
      if (pull.stepAtMs <= nowMs) {
        const next = pull.tellers.shift();
        if (next === undefined) {
          this.#delete(id, pull);
          continue;
        }
        this.#ask(pull, next, nowMs);
        const ids = asks.get(next) ?? [];
        ids.push(id);
        asks.set(next, ids);
      }
      nextMs = Math.min(nextMs, dueMs(pull));
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#wakeAt(nextMs);
    for (const neighbour of broken) this.#options.broken(neighbour);
    for (const [neighbour, ids] of asks) {
      for (let i = 0; i < ids.length; i += IDS_MAX) this.#options.ask(neighbour, ids.slice(i, i + IDS_MAX));
    }
  }

  #ask(pull: Pull, neighbour: PeerId, nowMs: number): void {
    const answerMs = this.#answerMs(neighbour, pull.bytes);
    const brokenAtMs = nowMs + Math.max(ANSWER_MS + pull.bytes / BYTES_PER_MS, answerMs);
    pull.asked.push({ neighbour, atMs: nowMs, brokenAtMs });
    pull.stepAtMs = nowMs + (pull.tellers.length > 0 ? answerMs : LAST_ANSWER_MS);
  }

  #answerMs(neighbour: PeerId, bytes: number): number {
    const times = this.#times.get(neighbour);
    const measuredMs =
      times === undefined
        ? ANSWER_MS
        : Math.min(Math.max(times.rtt + VARIATIONS * times.variation, ANSWER_MS_MIN), ANSWER_MS_MAX);
    return measuredMs + bytes / BYTES_PER_MS;
  }

  #learn(neighbour: PeerId, tookMs: number): void {
    const times = this.#times.get(neighbour);
    if (times === undefined) {
      this.#times.set(neighbour, { rtt: tookMs, variation: tookMs / 2 });
      return;
    }
    times.variation += VARIATION_SMOOTHING * (Math.abs(times.rtt - tookMs) - times.variation);
    times.rtt += RTT_SMOOTHING * (tookMs - times.rtt);
  }
}

/** When something is to be done about it. */
function dueMs({ stepAtMs, asked }: Pull): number {
  return asked.reduce((atMs, { brokenAtMs }) => Math.min(atMs, brokenAtMs), stepAtMs);
}
