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
/** A getter that reads slowly keeps others waiting so long, and no longer. */
const TURN_MS_MAX = 250;
/** Turns in a row that a getter lets others pass. */
const PASSES_MAX = 2;

/** Somebody who is given chunks. */
export interface Taker {
  readonly peerId: PeerId;
  /** How often its next chunk was given before, to anybody; undefined: it wants nothing now. */
  due(): number | undefined;
  /** Begins to send that chunk. `sent` never rejects. */
  give(): { readonly bytes: number; readonly sent: Promise<void> };
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
      const taker = this.#next();
      if (taker === undefined) return;
      this.#turn(taker);
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
    let isOver = false;
    const over = (): void => {
      if (isOver) return;
      isOver = true;
      this.#sending -= 1;
    };
    const timer = this.#clock.setTimer(TURN_MS_MAX, () => {
      over();
      this.#pump();
    });
    void sent.then(() => {
      timer.cancel();
      over();
      this.#pump();
    });
  }

  /** The first in line, unless somebody behind asks for something that was given less often. */
  #next(): Taker | undefined {
    let least: { readonly taker: Taker; readonly given: number } | undefined;
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
    for (const [peerId, waiting] of passed) {
      if (least === undefined || waiting.takers.includes(least.taker)) continue;
      waiting.passes += 1;
      this.#toBack(peerId, waiting);
    }
    return least?.taker;
  }

  #toBack(peerId: PeerId, waiting: Waiting): void {
    this.#line.delete(peerId);
    this.#line.set(peerId, waiting);
  }
}

function leastGiven(takers: readonly Taker[]): { readonly taker: Taker; readonly given: number } | undefined {
  let least: { readonly taker: Taker; readonly given: number } | undefined;
  for (const taker of takers) {
    const given = taker.due();
    if (given !== undefined && (least === undefined || given < least.given)) least = { taker, given };
  }
  return least;
}
