/**
 * What this peer gives, and to whom next. Getters take turns of one chunk, peer by peer, so that who asks for more gets no more; a few chunks
 * are under way at once, for a chunk is of use only when it is whole. Who asks for what others were given already lets those pass
 * who ask for something new: they will pass it on.
 */
import type { PeerId } from "../../../shared/ids.ts";
import type { Clock, Timer } from "../../runtime.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Chunks being sent at once, to all getters. */
export const UPLOADS_MAX = 4;
/** With so many under way only what was given least goes out besides: the rest is with others already, and who asks for the new comes soon. */
const UPLOADS_AGAIN_MAX = 2;
/** A getter that reads slowly keeps others waiting so long, or for twice what a chunk takes here as a rule, and no longer. */
const TURN_MS_MAX = 250;
const TURN_SHARE = 2;
const TURN_SMOOTHING = 0.2;
/** One that reads very slowly counts as if it took so many times as long as a rule. */
const TURN_OUTLIER = 4;
/** Turns in a row that a getter lets others pass. */
const PASSES_MAX = 2;

/** Somebody who is given chunks. */
export interface Taker {
  readonly peerId: PeerId;
  /** How often its next chunk was given before, to anybody, beyond the one that was given least; undefined: it wants nothing now. */
  due(): number | undefined;
  /** Begins to send that chunk. `sent` never rejects. */
  give(): { readonly bytes: number; readonly sent: Promise<void> };
}

interface Due {
  readonly taker: Taker;
  readonly given: number;
}

interface Waiting {
  readonly takers: Taker[];
  passes: number;
}

export class Uplink {
  readonly #clock: Clock;
  readonly #bucket: TokenBucket;
  /** In the order of their turns. */
  readonly #line = new Map<PeerId, Waiting>();
  #sending = 0;
  /** What a chunk takes as a rule, ms: where the line is narrow, all do. */
  #usualMs: number = TURN_MS_MAX / TURN_SHARE;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#bucket = new TokenBucket(clock);
  }

  /** @param bytesPerSecond undefined: no limit */
  limit(bytesPerSecond: number | undefined): void {
    this.#bucket.limit(bytesPerSecond);
    this.#pump();
  }

  /** Something else was sent that counts. */
  spend(bytes: number): void {
    this.#bucket.take(bytes);
  }

  join(taker: Taker): void {
    const waiting = this.#line.get(taker.peerId);
    if (waiting === undefined) this.#line.set(taker.peerId, { takers: [taker], passes: 0 });
    else waiting.takers.push(taker);
  }

  leave(taker: Taker): void {
    const waiting = this.#line.get(taker.peerId);
    const place = waiting?.takers.indexOf(taker) ?? -1;
    if (waiting === undefined || place < 0) return;
    waiting.takers.splice(place, 1);
    if (waiting.takers.length === 0) this.#line.delete(taker.peerId);
    if (this.#line.size === 0) this.close();
  }

  /** A getter that has joined wants something. */
  ready(): void {
    this.#pump();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #pump(): void {
    while (this.#sending < UPLOADS_MAX && this.#line.size > 0) {
      const waitMs = this.#bucket.waitMs();
      if (waitMs > 0) {
        this.#timer ??= this.#clock.setTimer(waitMs, () => {
          this.#timer = undefined;
          this.#pump();
        });
        return;
      }
      const next = this.#next();
      if (next === undefined || (next.given > 0 && this.#sending >= UPLOADS_AGAIN_MAX)) return;
      for (const [peerId, waiting] of next.passed) {
        waiting.passes += 1;
        this.#toBack(peerId, waiting);
      }
      this.#turn(next.taker);
    }
  }

  #turn(taker: Taker): void {
    const waiting = this.#line.get(taker.peerId);
    if (waiting !== undefined) {
      waiting.passes = 0;
      waiting.takers.splice(waiting.takers.indexOf(taker), 1);
      waiting.takers.push(taker);
      this.#toBack(taker.peerId, waiting);
    }
    const { bytes, sent } = taker.give();
    this.#bucket.take(bytes);
    this.#sending += 1;
    const begunAtMs = this.#clock.monotonicMs();
    let isOver = false;
    const over = (): void => {
      if (isOver) return;
      isOver = true;
      this.#sending -= 1;
    };
    const timer = this.#clock.setTimer(Math.max(TURN_MS_MAX, TURN_SHARE * this.#usualMs), () => {
      over();
      this.#pump();
    });
    void sent.then(() => {
      timer.cancel();
      const tookMs = Math.min(this.#clock.monotonicMs() - begunAtMs, TURN_OUTLIER * this.#usualMs);
      this.#usualMs += TURN_SMOOTHING * (tookMs - this.#usualMs);
      over();
      this.#pump();
    });
  }

  /** The first in line, unless somebody behind asks for something that was given less often. */
  #next(): (Due & { readonly passed: readonly [PeerId, Waiting][] }) | undefined {
    let least: Due | undefined;
    const passed: [PeerId, Waiting][] = [];
    for (const [peerId, waiting] of this.#line) {
      const candidate = leastGiven(waiting.takers);
      if (candidate === undefined) continue;
      if (least !== undefined && candidate.given >= least.given) continue;
      if (candidate.given === 0 || waiting.passes >= PASSES_MAX) {
        least = candidate;
        break;
      }
      least = candidate;
      passed.push([peerId, waiting]);
    }
    if (least === undefined) return undefined;
    const { taker, given } = least;
    return { taker, given, passed: passed.filter(([, { takers }]) => !takers.includes(taker)) };
  }

  #toBack(peerId: PeerId, waiting: Waiting): void {
    this.#line.delete(peerId);
    this.#line.set(peerId, waiting);
  }
}

function leastGiven(takers: readonly Taker[]): Due | undefined {
  let least: Due | undefined;
  for (const taker of takers) {
    const given = taker.due();
    if (given !== undefined && (least === undefined || given < least.given)) least = { taker, given };
  }
  return least;
}
