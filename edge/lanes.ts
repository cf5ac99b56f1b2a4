/**
 * What goes to other objects of the same kind. To each shard one call is under way at a time; what comes meanwhile goes together with the
 * next, in order. A call is twenty times the price of a message, so a busy object pays for few of them.
 */

/** Items that wait for the call under way, of one shard; past either bound they come to nothing, and their senders are told. */
const WAITING_COUNT_MAX = 2_048;
const WAITING_LENGTH_MAX: number = 4 * 1024 * 1024;

export interface LaneEnds<Item> {
  /** Delivers to another object. */
  deliver(shard: number, items: readonly Item[]): Promise<void>;
  /** They were lost: the object is overloaded, restarting, or slower than the senders. */
  lost(items: readonly Item[]): void;
  /** Characters or bytes. */
  lengthOf(item: Item): number;
  /** Keeps this object until the work is done. */
  keep(work: Promise<void>): void;
}

interface Lane<Item> {
  waiting: Item[];
  length: number;
  isBusy: boolean;
}

export class Lanes<Item> {
  readonly #ends: LaneEnds<Item>;
  readonly #lanes = new Map<number, Lane<Item>>();

  constructor(ends: LaneEnds<Item>) {
    this.#ends = ends;
  }

  send(shard: number, item: Item): void {
    const lane = this.#lanes.get(shard) ?? { waiting: [], length: 0, isBusy: false };
    this.#lanes.set(shard, lane);
    const length = this.#ends.lengthOf(item);
    if (lane.waiting.length >= WAITING_COUNT_MAX || lane.length + length > WAITING_LENGTH_MAX) {
      this.#ends.lost([item]);
      return;
    }
    lane.waiting.push(item);
    lane.length += length;
    if (!lane.isBusy) this.#ends.keep(this.#run(shard, lane));
  }

  /** No time limit of ours: a timer would keep the object awake, and what piles up behind a call that hangs is bounded. */
  async #run(shard: number, lane: Lane<Item>): Promise<void> {
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
