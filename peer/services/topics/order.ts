/**
 * One sender's messages in the order in which it published them: what comes early waits for what is missing, but not for long, and what comes
 * when it was passed over is left out.
 */
import type { PeerId } from "../../../shared/ids.ts";
import type { Clock, Timer } from "../../runtime.ts";

/** What is missing may come so late. */
export const GAP_MS = 2_000;
/** Of a sender that was not heard before, the first message is the earliest that comes in this time. */
export const FIRST_MS = 300;
/** Of one sender; past that what is missing is given up. */
export const HELD_MAX = 256;
/** Senders whose place is known; past that the one heard longest ago begins anew. */
const SENDERS_MAX = 1_024;

export interface Numbered {
  readonly publisher: PeerId;
  readonly runMs: number;
  readonly seq: number;
}

interface Sender<T> {
  readonly runMs: number;
  /** Undefined: the first has not been decided. */
  next: number | undefined;
  readonly held: Map<number, T>;
  timer: Timer | undefined;
}

export class SenderOrder<T extends Numbered> {
  readonly #clock: Clock;
  readonly #emit: (item: T) => void;
  readonly #senders = new Map<PeerId, Sender<T>>();
  /** Came when they had been passed over. */
  late = 0;

  constructor(clock: Clock, emit: (item: T) => void) {
    this.#clock = clock;
    this.#emit = emit;
  }

  /** A message of the past was given out: what follows it is next. */
  passed({ publisher, runMs, seq }: Numbered): void {
    const sender = this.#senders.get(publisher);
    if (sender !== undefined && sender.runMs > runMs) return;
    if (sender === undefined || sender.runMs < runMs) this.#begin(publisher, runMs, seq + 1);
    else sender.next = Math.max(sender.next ?? 0, seq + 1);
  }

  add(item: T): void {
    const { publisher, runMs, seq } = item;
    let sender = this.#senders.get(publisher);
    if (sender === undefined || runMs > sender.runMs) {
      if (sender !== undefined) this.#skip(sender, true);
      sender = this.#begin(publisher, runMs, seq === 0 ? 0 : undefined);
    }
    if (runMs < sender.runMs || (sender.next !== undefined && seq < sender.next)) {
      this.late += 1;
      return;
    }
    if (seq === 0) sender.next ??= 0;
    sender.held.set(seq, item);
    this.#drain(sender);
    if (sender.held.size > HELD_MAX) this.#skip(sender, false);
    this.#wait(sender);
  }

  close(): void {
    for (const sender of this.#senders.values()) sender.timer?.cancel();
    this.#senders.clear();
  }

  #begin(publisher: PeerId, runMs: number, next: number | undefined): Sender<T> {
    this.#senders.get(publisher)?.timer?.cancel();
    const sender: Sender<T> = { runMs, next, held: new Map(), timer: undefined };
    this.#senders.delete(publisher);
    this.#senders.set(publisher, sender);
    if (this.#senders.size > SENDERS_MAX) {
      const [oldest, { timer }] = this.#senders.entries().next().value as [PeerId, Sender<T>];
      timer?.cancel();
      this.#senders.delete(oldest);
    }
    return sender;
  }

  #wait(sender: Sender<T>): void {
    if (sender.held.size === 0) {
      sender.timer?.cancel();
      sender.timer = undefined;
      return;
    }
    sender.timer ??= this.#clock.setTimer(sender.next === undefined ? FIRST_MS : GAP_MS, () => {
      sender.timer = undefined;
      this.#skip(sender, false);
      this.#wait(sender);
    });
  }

  /** Gives up what is missing. */
  #skip(sender: Sender<T>, isAll: boolean): void {
    do {
      if (sender.held.size === 0) return;
      sender.next = Math.min(...sender.held.keys());
      this.#drain(sender);
    } while (isAll);
  }

  #drain(sender: Sender<T>): void {
    if (sender.next === undefined) return;
    for (let item = sender.held.get(sender.next); item !== undefined; item = sender.held.get(sender.next)) {
      sender.held.delete(sender.next);
      sender.next += 1;
      this.#emit(item);
    }
  }
}
