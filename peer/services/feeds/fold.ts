/**
 * The state that follows from an order: the reducer applied entry by entry. States are kept here and there on the way, so
 * that a change of order costs what comes after it and not everything. States are never changed, only replaced: that is asked of the reducer.
 */
import type { FeedEntry } from "./entry.ts";
import type { Counts, Order, Place } from "./order.ts";

/** The state after an entry, as a new value: the one given must stay as it is. Must depend on nothing else. */
export type Reducer<State> = (state: State, entry: FeedEntry) => State;
export type ReadEntry = (place: Place) => FeedEntry | Promise<FeedEntry>;

/** States kept; past that every second of the older half is let go, so that they lie the denser the later they are. */
export const SNAPSHOTS_MAX = 64;
const SNAPSHOT_EVERY = 32;
/** The event loop is let in after so many. */
const ENTRIES_AT_ONCE = 2_048;

interface Snapshot<State> {
  readonly position: number;
  readonly counts: Readonly<Counts>;
  readonly state: State;
}

export interface FoldOptions<State> {
  readonly order: Order;
  readonly initial: State;
  readonly apply: Reducer<State>;
  readonly read: ReadEntry;
  /** Lets others run. */
  pause(): Promise<void>;
}

export class Fold<State> {
  readonly #options: FoldOptions<State>;
  #snapshots: Snapshot<State>[];
  #now: Snapshot<State>;

  constructor(options: FoldOptions<State>) {
    this.#options = options;
    this.#now = {
      position: 0,
      counts: options.order.counts.map(() => 0),
      state: options.initial,
    };
    this.#snapshots = [this.#now];
  }

  /** As far as it has been applied. */
  get state(): State {
    return this.#now.state;
  }

  /** Applies the last entry of the order, if all before it has been applied; otherwise `catchUp` will. */
  push(place: Place, entry: FeedEntry): void {
    const { order, apply } = this.#options;
    if (this.#now.position !== order.length - 1) return;
    const { position } = this.#now;
    const counts = this.#now.counts.slice();
    counts[place.writer] = place.seq + 1;
    this.#now = { position: position + 1, counts, state: apply(this.#now.state, entry) };
    if (this.#now.position % SNAPSHOT_EVERY === 0) this.#keep(this.#now);
  }

  /** The order has changed from there on. */
  rewind(position: number): void {
    if (this.#now.position <= position) return;
    this.#snapshots = this.#snapshots.filter((each) => each.position <= position);
    this.#now = this.#snapshots.at(-1) as Snapshot<State>;
  }

  /** Applies what is left of the order. */
  async catchUp(): Promise<void> {
    const { order } = this.#options;
    while (this.#now.position < order.length) {
      const to = Math.min(
        order.length,
        this.#now.position + SNAPSHOT_EVERY - (this.#now.position % SNAPSHOT_EVERY),
      );
      this.#now = await this.#applied(this.#now, to, undefined);
      if (to % SNAPSHOT_EVERY === 0) this.#keep(this.#now);
      if (to % ENTRIES_AT_ONCE === 0) await this.#options.pause();
    }
  }

  /** The state of some entries and no others: what one writer could know. With each, all behind it must be among them. */
  async stateOf(counts: Counts): Promise<State> {
    const { order } = this.#options;
    const below = [...this.#snapshots, this.#now].filter((each) =>
      each.counts.every((count, i) => count <= (counts[i] as number)),
    );
    const from = below.reduce((best, each) => (each.position > best.position ? each : best));
    return (await this.#applied(from, order.length, counts)).state;
  }

  /** Whether these are all that has been applied. */
  isAll(counts: Counts): boolean {
    return this.#now.counts.every((count, i) => count === counts[i]);
  }

  async #applied(from: Snapshot<State>, to: number, only: Counts | undefined): Promise<Snapshot<State>> {
    const { order, read, apply } = this.#options;
    const counts = from.counts.slice();
    let left = only?.reduce((sum, count, i) => sum + count - (counts[i] as number), 0) ?? to - from.position;
    let { state } = from;
    for (let position = from.position; position < to && left > 0; position++) {
      const place = order.at(position);
      if (only !== undefined && place.seq >= (only[place.writer] as number)) continue;
      const entry = read(place);
      state = apply(state, entry instanceof Promise ? await entry : entry);
      counts[place.writer] = place.seq + 1;
      left -= 1;
    }
    return { position: to, counts, state };
  }

  #keep(snapshot: Snapshot<State>): void {
    this.#snapshots.push(snapshot);
    if (this.#snapshots.length <= SNAPSHOTS_MAX) return;
    this.#snapshots = this.#snapshots.filter((_, i) => i % 2 === 0 || i > SNAPSHOTS_MAX / 2);
  }
}
