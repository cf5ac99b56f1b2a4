/**
 * What is to happen in virtual time, earliest first, and in order of coming among equals. A calendar queue (Brown, CACM 1988): events wait
 * unsorted in a list for each millisecond, which is sorted when its time has come. A heap of the millions that a large simulation has
 * waiting spends its time in memory far away.
 */
import type { Timer } from "../../runtime.ts";

export interface Due {
  readonly atMs: number;
  readonly callback: () => void;
}

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
  readonly #days = new Map<number, Entry[]>();
  /** The milliseconds that have a list: a binary heap. */
  readonly #calendar: number[] = [];
  /** Of the millisecond begun last, sorted, and how many of these are done. */
  #today: Entry[] = [];
  #done = 0;
  #date = Number.NEGATIVE_INFINITY;
  readonly #waiting = { count: 0 };
  #nextSequence = 0;

  /** Events that will happen. */
  get size(): number {
    return this.#waiting.count;
  }

  /** @param atMs not before what was taken last */
  add(atMs: number, callback: () => void): Timer {
    const entry = new Entry(atMs, callback, this.#nextSequence++, this.#waiting);
    const date = Math.floor(atMs);
    const day = this.#days.get(date);
    if (day !== undefined) day.push(entry);
    else if (date <= this.#date) this.#today.splice(this.#placeToday(atMs), 0, entry);
    else {
      this.#days.set(date, [entry]);
      this.#enter(date);
    }
    return entry;
  }

  /** Removes and returns the earliest event when it is due by `untilMs`. */
  takeDue(untilMs: number): Due | undefined {
    for (;;) {
      const first = this.#today[this.#done];
      if (first === undefined) {
        const date = this.#calendar[0];
        if (date === undefined || date > untilMs) return undefined;
        this.#begin(date);
      } else if (!first.isOver && first.atMs > untilMs) return undefined;
      else {
        this.#done += 1;
        if (first.isOver) continue;
        first.cancel();
        return first;
      }
    }
  }

  #begin(date: number): void {
    const day = this.#days.get(date) as Entry[];
    this.#days.delete(date);
    this.#leave();
    this.#date = date;
    this.#done = 0;
    this.#today = day.filter(({ isOver }) => !isOver);
    this.#today.sort((a, b) => (a.atMs === b.atMs ? a.sequence - b.sequence : a.atMs < b.atMs ? -1 : 1));
  }

  /** Behind all that happens no later. */
  #placeToday(atMs: number): number {
    let low = this.#done;
    let high = this.#today.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#today[middle] as Entry).atMs <= atMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #enter(date: number): void {
    const heap = this.#calendar;
    let index = heap.length;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if ((heap[parent] as number) < date) break;
      heap[index] = heap[parent] as number;
      index = parent;
    }
    heap[index] = date;
  }

  /** Takes the earliest out. */
  #leave(): void {
    const heap = this.#calendar;
    const last = heap.pop() as number;
    if (heap.length === 0) return;
    let index = 0;
    for (let child = 1; child < heap.length; child = 2 * index + 1) {
      if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number)) child += 1;
      if ((heap[child] as number) >= last) break;
      heap[index] = heap[child] as number;
      index = child;
    }
    heap[index] = last;
  }
}
