/**
 * Messages for peers of other shards. To each shard one call is under way at a time; what comes meanwhile goes together with the
 * next, in order. A call is twenty times the price of a message, so a busy room pays for few of them.
 */
import type { Envelope } from "./peerjs-protocol.ts";

/** Messages that wait for the call under way, of one shard; past either bound they come to nothing, and their senders are told. */
const WAITING_COUNT_MAX = 2_048;
const WAITING_LENGTH_MAX: number = 4 * 1024 * 1024;

export interface LaneEnds {
  /** Delivers to another room. */
  deliver(shard: number, envelopes: readonly Envelope[]): Promise<void>;
  /** They were lost: the room is overloaded, restarting, or slower than the senders. */
  lost(envelopes: readonly Envelope[]): void;
  /** Keeps the object until the work is done. */
  keep(work: Promise<void>): void;
}

interface Lane {
  waiting: Envelope[];
  length: number;
  isBusy: boolean;
}

export class PeerjsLanes {
  readonly #ends: LaneEnds;
  readonly #lanes = new Map<number, Lane>();

  constructor(ends: LaneEnds) {
    this.#ends = ends;
  }

  send(shard: number, envelope: Envelope): void {
    const lane = this.#lanes.get(shard) ?? { waiting: [], length: 0, isBusy: false };
    this.#lanes.set(shard, lane);
    if (
      lane.waiting.length >= WAITING_COUNT_MAX ||
      lane.length + envelope.frame.length > WAITING_LENGTH_MAX
    ) {
      this.#ends.lost([envelope]);
      return;
    }
    lane.waiting.push(envelope);
    lane.length += envelope.frame.length;
    if (!lane.isBusy) this.#ends.keep(this.#run(shard, lane));
  }

  /** No time limit of ours: a timer would keep the object awake, and what piles up behind a call that hangs is bounded. */
  async #run(shard: number, lane: Lane): Promise<void> {
    lane.isBusy = true;
    while (lane.waiting.length > 0) {
      const batch = lane.waiting;
      lane.waiting = [];
      lane.length = 0;
      try {
        await this.#ends.deliver(shard, batch);
      } catch {
        this.#ends.lost(batch);
      }
    }
    lane.isBusy = false;
  }
}
