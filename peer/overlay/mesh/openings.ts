/**
 * Links being made: looks for the next candidate when something was learned, asks the neighbour that named it how it is reached, and
 * leaves those alone that could not be. A few at once and one a second, so that a network in motion does not swing.
 */
import type { Clock, Random, Timer } from "../../runtime.ts";
import { spreadMs } from "../backoff.ts";
import type { Coordinate } from "./coordinate.ts";
import type { Candidate, LinkTable } from "./link-table.ts";
import type { MeshKey } from "./mesh-key.ts";
import type { Neighbour } from "./neighbour.ts";

/** At once; more while the peer has just come; in a second; in a burst. */
const OPENING_MAX = 4;
const OPENING_MAX_FIRST = 24;
const OPENS_PER_SECOND = 1;
const OPENS_BURST = 8;
/** A newcomer needs eight links soon, and some of those it tries are slow or gone. */
const OPENS_FIRST = 24;
/** Nobody else opens links to a newcomer, so it need not wait for whom it would cross. */
const HASTE = 0.2;
/** Whoever is told of more contacts, asked or not, opens no more at once. */
const TOLD_MAX = 64;
const OPEN_TIMEOUT_MS = 15_000;
/** A candidate that could not be reached is left alone for so long, doubling. */
const BACKOFF_FIRST_MS = 30_000;
const BACKOFF_MAX_MS = 600_000;
const BACKOFFS_MAX = 512;
/** Candidates in back-off may be tried again. */
const SEARCH_AGAIN_MS = 10_000;
const REPLACE_EVERY_MS = 120_000;
/** A sibling is missing, or may be. */
export const SIBLING_DELAY_MS = 50;
export const BUCKET_DELAY_MS = 500;

/** A peer that can be linked to. */
export interface MeshContact {
  readonly key: MeshKey;
  /** As its link told; opaque here. */
  readonly contact: Uint8Array;
}

export interface OpeningsOptions {
  readonly own: MeshKey;
  readonly clock: Clock;
  readonly random: Random;
  readonly table: LinkTable;
  readonly place: Coordinate;
  /** Enough links stand to take one's time. */
  isReady(): boolean;
  /** Makes a link; `done` is called once. */
  open(contact: MeshContact, done: (opened: boolean) => void): void;
  /** Asks a neighbour for the contact of one of its own; the answer comes to `told`. */
  ask(via: Neighbour, key: MeshKey): void;
}

export class Openings {
  readonly #options: OpeningsOptions;
  /** Being opened, until their time is over. */
  readonly #opening = new Map<MeshKey, Timer>();
  readonly #backoffs = new Map<MeshKey, { readonly untilMs: number; readonly delayMs: number }>();
  /** Whose contact was asked for. */
  readonly #asked = new Set<MeshKey>();
  #timer: Timer | undefined;
  #timerAtMs = 0;
  #credit = OPENS_FIRST;
  #creditAtMs: number;
  /** Something was learned since candidates were last looked for in vain. */
  #maySearch = true;
  #searchedAtMs = 0;
  #replacedAtMs: number;
  #closed = false;

  constructor(options: OpeningsOptions) {
    this.#options = options;
    const nowMs = options.clock.monotonicMs();
    this.#creditAtMs = nowMs;
    this.#replacedAtMs = nowMs;
  }

  /** There may be other candidates than before. */
  learned(): void {
    this.#maySearch = true;
  }

  /** Looks for the next candidate in about so long; an earlier plan stands. */
  plan(delayMs: number): void {
    if (this.#closed) return;
    const { clock, random, isReady } = this.#options;
    const waitMs = isReady() ? delayMs : delayMs * HASTE;
    const atMs = clock.monotonicMs() + waitMs;
    if (this.#timer !== undefined && this.#timerAtMs <= atMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    this.#timer = clock.setTimer(waitMs * (1 + 2 * random.unit()), () => {
      this.#timer = undefined;
      this.#next();
    });
  }

  /** Makes a link to a peer whose contact is known, unless there is one. */
  open(contact: MeshContact): void {
    const { key } = contact;
    const { own, table } = this.#options;
    if (key === own || table.neighbours.has(key) || this.#opening.has(key)) return;
    if (this.#opening.size === TOLD_MAX) return;
    this.#begin(key);
    this.#options.open(contact, (opened) => this.ended(key, opened));
  }

  /** A neighbour has told a contact; empty when it is gone. @returns whether it was asked for here */
  told(key: MeshKey, contact: Uint8Array): boolean {
    if (!this.#asked.delete(key)) return false;
    if (contact.length === 0) this.ended(key, false);
    else this.#options.open({ key, contact }, (opened) => this.ended(key, opened));
    return true;
  }

  /** The link stands, whoever made it, or it could not be made. */
  ended(key: MeshKey, opened: boolean): void {
    const timer = this.#opening.get(key);
    if (timer === undefined || this.#closed) return;
    timer.cancel();
    this.#opening.delete(key);
    this.#asked.delete(key);
    if (opened) this.#backoffs.delete(key);
    else this.backOff(key);
    this.plan(SIBLING_DELAY_MS);
  }

  /** Leaves a peer alone for a while. */
  backOff(key: MeshKey): void {
    const { clock, random } = this.#options;
    const before = this.#backoffs.get(key)?.delayMs;
    const delayMs = before === undefined ? BACKOFF_FIRST_MS : Math.min(before * 2, BACKOFF_MAX_MS);
    this.#backoffs.delete(key);
    this.#backoffs.set(key, { untilMs: clock.monotonicMs() + spreadMs(delayMs, random), delayMs });
    if (this.#backoffs.size > BACKOFFS_MAX)
      this.#backoffs.delete(this.#backoffs.keys().next().value as MeshKey);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const timer of this.#opening.values()) timer.cancel();
    this.#opening.clear();
  }

  #next(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const earned = ((nowMs - this.#creditAtMs) / 1_000) * OPENS_PER_SECOND;
    this.#credit = Math.min(this.#credit + earned, Math.max(this.#credit, OPENS_BURST));
    this.#creditAtMs = nowMs;
    const atOnce = this.#options.isReady() ? OPENING_MAX : OPENING_MAX_FIRST;
    while (this.#opening.size < atOnce && this.#credit >= 1) {
      const candidate = this.#candidate(nowMs);
      if (candidate === undefined) return;
      this.#credit -= 1;
      this.#begin(candidate.key);
      this.#asked.add(candidate.key);
      this.#options.ask(candidate.via, candidate.key);
    }
  }

  #candidate(nowMs: number): Candidate | undefined {
    const { table, place } = this.#options;
    if (!this.#maySearch && nowMs - this.#searchedAtMs < SEARCH_AGAIN_MS) return undefined;
    this.#maySearch = true;
    const isOut = (key: MeshKey): boolean =>
      this.#opening.has(key) || (this.#backoffs.get(key)?.untilMs ?? 0) > nowMs;
    const wanted = table.wanted(place, isOut);
    if (wanted !== undefined) return wanted;
    this.#maySearch = false;
    this.#searchedAtMs = nowMs;
    if (nowMs - this.#replacedAtMs < REPLACE_EVERY_MS) return undefined;
    this.#replacedAtMs = nowMs;
    return table.nearer(place, isOut);
  }

  #begin(key: MeshKey): void {
    const timer = this.#options.clock.setTimer(OPEN_TIMEOUT_MS, () => this.ended(key, false));
    this.#opening.set(key, timer);
  }
}
