/**
 * One sender's messages in the order in which it published them. What comes early waits for what is missing: as long as that is known to be on
 * its way, within a bound, and else not for long. What was passed over is counted, and left out when it comes all the same.
 */
import type { PeerId } from "../../../shared/ids.ts";
import type { Clock, Timer } from "../../runtime.ts";

/** What is missing, and not known to be on its way, may come so much later than what follows it; */
export const GAP_MS = 2_000;
/** what is on its way, so much. */
export const GAP_MS_MAX = 15_000;
/** Of a sender that was not heard before, the first message is the earliest that comes in this time. */
export const FIRST_MS = 300;
/** Of one sender; past that what is missing is given up. */
export const HELD_MAX = 256;
/** How often it is looked whether something is still on its way; a timer that is later than this has kept what came from being read, too. */
const LOOK_MS = 100;
/** Senders whose place is known; past that the one heard longest ago begins anew. */
const SENDERS_MAX = 1_024;

export interface Numbered {
  readonly publisher: PeerId;
  readonly runMs: number;
  readonly seq: number;
}

export interface OrderOptions<T> {
  readonly clock: Clock;
  /** Whether something of the publisher that was announced by that time (monotonic, ms) is known to be on its way, or is being judged. */
  isAwaited(publisher: PeerId, announcedByMs: number): boolean;
  emit(item: T): void;
}

interface Held<T> {
  /** Undefined: a number that brings nothing. */
  readonly item: T | undefined;
  readonly atMs: number;
}

interface Sender<T> {
  readonly runMs: number;
  /** Undefined: the first has not been decided. */
  next: number | undefined;
  /** What is below was never waited for. */
  first: number | undefined;
  readonly held: Map<number, Held<T>>;
  timer: Timer | undefined;
}

export class SenderOrder<T extends Numbered> {
  readonly #options: OrderOptions<T>;
  readonly #senders = new Map<PeerId, Sender<T>>();
  /** Numbers that were passed over, or came when their time was. */
  missed = 0;

  constructor(options: OrderOptions<T>) {
    this.#options = options;
  }

  /** A message of the past was given out: what follows it is next. */
  passed({ publisher, runMs, seq }: Numbered): void {
    const sender = this.#senders.get(publisher);
    if (sender !== undefined && sender.runMs > runMs) return;
    if (sender === undefined || sender.runMs < runMs) this.#begin(publisher, runMs, seq + 1);
    else sender.next = Math.max(sender.next ?? 0, seq + 1);
  }

  add(item: T): void {
    this.#place(item, item);
  }

  /** This number came, and there is nothing to give out. */
  none(numbered: Numbered): void {
    this.#place(numbered, undefined);
  }

  close(): void {
    for (const sender of this.#senders.values()) sender.timer?.cancel();
    this.#senders.clear();
  }

  #place({ publisher, runMs, seq }: Numbered, item: T | undefined): void {
    let sender = this.#senders.get(publisher);
    if (sender === undefined || runMs > sender.runMs) {
      while (sender !== undefined && sender.held.size > 0) this.#skip(sender);
      sender = this.#begin(publisher, runMs, seq === 0 ? 0 : undefined);
    }
    if (runMs < sender.runMs || (sender.next !== undefined && seq < sender.next)) {
      if (item !== undefined && (runMs < sender.runMs || seq < (sender.first ?? 0))) this.missed += 1;
      return;
    }
    if (seq === 0) sender.next = sender.first = 0;
    sender.held.set(seq, { item, atMs: this.#options.clock.monotonicMs() });
    this.#drain(sender);
    if (sender.held.size > HELD_MAX) this.#skip(sender);
    this.#look(publisher, sender, Number.POSITIVE_INFINITY);
  }

  #begin(publisher: PeerId, runMs: number, next: number | undefined): Sender<T> {
    this.#senders.get(publisher)?.timer?.cancel();
    const sender: Sender<T> = { runMs, next, first: next, held: new Map(), timer: undefined };
    this.#senders.delete(publisher);
    this.#senders.set(publisher, sender);
    if (this.#senders.size > SENDERS_MAX) {
      const [oldest, { timer }] = this.#senders.entries().next().value as [PeerId, Sender<T>];
      timer?.cancel();
      this.#senders.delete(oldest);
    }
    return sender;
  }

  /** Gives up what has been missing for too long, and looks again when the next may be. @param dueMs when this look was to be */
  #look(publisher: PeerId, sender: Sender<T>, dueMs: number): void {
    const { clock } = this.#options;
    sender.timer?.cancel();
    sender.timer = undefined;
    const nowMs = clock.monotonicMs();
    const isLate = nowMs - dueMs > LOOK_MS;
    while (sender.held.size > 0) {
      const waitMs = this.#waitMs(publisher, sender, nowMs, isLate);
      if (waitMs > 0) {
        const nextMs = nowMs + waitMs;
        sender.timer = clock.setTimer(waitMs, () => this.#look(publisher, sender, nextMs));
        return;
      }
      this.#skip(sender);
    }
  }

  /** How long what is missing before the first that is held may still take; 0: no longer. */
  #waitMs(publisher: PeerId, sender: Sender<T>, nowMs: number, isLate: boolean): number {
    const { atMs } = sender.held.get(firstOf(sender)) as Held<T>;
    const untilMs = atMs + (sender.next === undefined ? FIRST_MS : GAP_MS);
    if (nowMs < untilMs) return untilMs - nowMs;
    const mayWait = nowMs < atMs + GAP_MS_MAX;
    return mayWait && (isLate || this.#options.isAwaited(publisher, untilMs)) ? LOOK_MS : 0;
  }

  /** Gives up what is missing before the first that is held. */
  #skip(sender: Sender<T>): void {
    const first = firstOf(sender);
    if (sender.next !== undefined) this.missed += first - sender.next;
    sender.next = first;
    sender.first ??= first;
    this.#drain(sender);
  }

  #drain(sender: Sender<T>): void {
    if (sender.next === undefined) return;
    for (let held = sender.held.get(sender.next); held !== undefined; held = sender.held.get(sender.next)) {
      sender.held.delete(sender.next);
      sender.next += 1;
      if (held.item !== undefined) this.#options.emit(held.item);
    }
  }
}

function firstOf({ held }: Sender<unknown>): number {
  return Math.min(...held.keys());
}
