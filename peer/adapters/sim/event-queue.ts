/** What is to happen in virtual time: a binary heap, earliest first, and in order of coming among equals. */
import type { Timer } from "../../runtime.ts";

export interface Due {
  readonly atMs: number;
  readonly callback: () => void;
}

interface Entry extends Due {
  readonly sequence: number;
  cancelled: boolean;
}

export class EventQueue {
  readonly #heap: Entry[] = [];
  #nextSequence = 0;
  #size = 0;

  /** Events that will happen. */
  get size(): number {
    return this.#size;
  }

  add(atMs: number, callback: () => void): Timer {
    const entry: Entry = { atMs, callback, sequence: this.#nextSequence++, cancelled: false };
    this.#heap.push(entry);
    this.#size += 1;
    this.#rise(this.#heap.length - 1);
    return {
      cancel: () => {
        if (entry.cancelled) return;
        entry.cancelled = true;
        this.#size -= 1;
      },
    };
  }

  /** Removes and returns the earliest event when it is due by `untilMs`. */
  takeDue(untilMs: number): Due | undefined {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (!first.cancelled && first.atMs > untilMs) return undefined;
      this.#removeFirst();
      if (first.cancelled) continue;
      first.cancelled = true; // Cancelling what has happened changes nothing.
      this.#size -= 1;
      return first;
    }
    return undefined;
  }

  #removeFirst(): void {
    const last = this.#heap.pop() as Entry;
    if (this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink(0);
  }

  #rise(start: number): void {
    let index = start;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#before(index, parent)) return;
      this.#swap(index, parent);
      index = parent;
    }
  }

  #sink(start: number): void {
    let index = start;
    for (;;) {
      let earliest = index;
      for (const child of [2 * index + 1, 2 * index + 2]) {
        if (child < this.#heap.length && this.#before(child, earliest)) earliest = child;
      }
      if (earliest === index) return;
      this.#swap(index, earliest);
      index = earliest;
    }
  }

  #before(one: number, other: number): boolean {
    const a = this.#heap[one] as Entry;
    const b = this.#heap[other] as Entry;
    return a.atMs === b.atMs ? a.sequence < b.sequence : a.atMs < b.atMs;
  }

  #swap(one: number, other: number): void {
    const entry = this.#heap[one] as Entry;
    this.#heap[one] = this.#heap[other] as Entry;
    this.#heap[other] = entry;
  }
}
