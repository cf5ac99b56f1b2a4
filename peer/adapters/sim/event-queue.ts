/**
 * What is to happen in virtual time: a heap, earliest first, and in order of coming among equals. Four children to a node and the times in
 * a column of their own: a simulation has hundreds of thousands of events waiting, and most of its time goes into memory far away.
 */
import type { Timer } from "../../runtime.ts";

export interface Due {
  readonly atMs: number;
  readonly callback: () => void;
}

const CHILDREN = 4;

class Entry implements Due, Timer {
  readonly atMs: number;
  readonly callback: () => void;
  readonly sequence: number;
  readonly #waiting: { count: number };
  isOver = false;

  constructor(atMs: number, callback: () => void, sequence: number, waiting: { count: number }) {
    this.atMs = atMs;
    this.callback = callback;
    this.sequence = sequence;
    this.#waiting = waiting;
    waiting.count += 1;
  }

  /** Changes nothing once it has happened. */
  cancel(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#waiting.count -= 1;
  }
}

export class EventQueue {
  readonly #times: number[] = [];
  readonly #entries: Entry[] = [];
  readonly #waiting = { count: 0 };
  #nextSequence = 0;

  /** Events that will happen. */
  get size(): number {
    return this.#waiting.count;
  }

  add(atMs: number, callback: () => void): Timer {
    const entry = new Entry(atMs, callback, this.#nextSequence++, this.#waiting);
    this.#times.push(atMs);
    this.#entries.push(entry);
    this.#rise(entry);
    return entry;
  }

  /** Removes and returns the earliest event when it is due by `untilMs`. */
  takeDue(untilMs: number): Due | undefined {
    for (let first = this.#entries[0]; first !== undefined; first = this.#entries[0]) {
      if (!first.isOver && first.atMs > untilMs) return undefined;
      this.#removeFirst();
      if (first.isOver) continue;
      first.cancel();
      return first;
    }
    return undefined;
  }

  #removeFirst(): void {
    this.#times.pop();
    const last = this.#entries.pop() as Entry;
    if (this.#entries.length > 0) this.#sink(last);
  }

  /** From the end to its place. */
  #rise(entry: Entry): void {
    let index = this.#entries.length - 1;
    while (index > 0) {
      const parent = (index - 1) >> 2;
      // Whoever came later stays behind its equals.
      if ((this.#times[parent] as number) <= entry.atMs) break;
      this.#put(index, this.#entries[parent] as Entry);
      index = parent;
    }
    this.#put(index, entry);
  }

  /** From the top to its place. */
  #sink(entry: Entry): void {
    const { length } = this.#entries;
    let index = 0;
    for (let first = 1; first < length; first = CHILDREN * index + 1) {
      const end = Math.min(first + CHILDREN, length);
      let earliest = first;
      for (let child = first + 1; child < end; child++) if (this.#isBefore(child, earliest)) earliest = child;
      const earliestMs = this.#times[earliest] as number;
      const other = this.#entries[earliest] as Entry;
      if (earliestMs > entry.atMs || (earliestMs === entry.atMs && other.sequence > entry.sequence)) break;
      this.#put(index, other);
      index = earliest;
    }
    this.#put(index, entry);
  }

  #isBefore(one: number, other: number): boolean {
    const [oneMs, otherMs] = [this.#times[one] as number, this.#times[other] as number];
    if (oneMs !== otherMs) return oneMs < otherMs;
    return (this.#entries[one] as Entry).sequence < (this.#entries[other] as Entry).sequence;
  }

  #put(index: number, entry: Entry): void {
    this.#times[index] = entry.atMs;
    this.#entries[index] = entry;
  }
}
