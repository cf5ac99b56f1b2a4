/** How a topic begins for who wants its past: what neighbours tell of it comes first, in the order of time, and what is new waits for that. */
import type { PeerId } from "../../../shared/ids.ts";
import type { Clock, Timer } from "../../runtime.ts";

/** So long may what was told, or what is new, wait for the rest of the past: from the first of it, whenever a neighbour is found. */
export const PAST_MS = 2_000;

export interface PastItem {
  readonly publisher: PeerId;
  readonly seq: number;
  readonly message: { readonly timeMs: number };
}

export class PastFirst<T extends PastItem> {
  readonly #clock: Clock;
  readonly #count: number;
  readonly #give: (item: T) => void;
  readonly #told: T[] = [];
  readonly #fresh: (() => void)[] = [];
  #timer: Timer | undefined;
  #isOver = false;

  /** @param count of past messages, the latest; 0: nothing waits */
  constructor(clock: Clock, count: number, give: (item: T) => void) {
    this.#clock = clock;
    this.#count = count;
    this.#give = give;
    if (count === 0) this.over();
  }

  told(item: T): void {
    if (this.#isOver) return;
    this.#told.push(item);
    this.#wait();
  }

  /** At once, or when the past was given out. */
  after(act: () => void): void {
    if (this.#isOver) return act();
    this.#fresh.push(act);
    this.#wait();
  }

  /** Neighbours have told what they have, or had their time. */
  over(): void {
    if (this.#isOver) return;
    this.close();
    this.#told.sort(
      (a, b) =>
        a.message.timeMs - b.message.timeMs ||
        Number(a.publisher > b.publisher) - Number(a.publisher < b.publisher) ||
        a.seq - b.seq,
    );
    for (const item of this.#told.splice(0).slice(-this.#count)) this.#give(item);
    for (const act of this.#fresh.splice(0)) act();
  }

  /** Nothing more waits. */
  close(): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }

  #wait(): void {
    this.#timer ??= this.#clock.setTimer(PAST_MS, () => this.over());
  }
}
