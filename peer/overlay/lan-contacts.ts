/**
 * Peers heard of on the local network, and the dials to them. Whoever is on that network can name any number of ids and
 * addresses, so what is remembered and how often is dialled is bounded; a farewell, which anybody may say for another,
 * ends the dials and leaves the entry, lest a liar have it forgotten and learned anew without end.
 */
import { Allowance } from "./allowance.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { type PeerId, short } from "../../shared/ids.ts";
import { ADDRESSES_MAX } from "../../shared/limits.ts";
import type { Contact } from "../../shared/messages.ts";
import type { Runtime, Timer } from "../runtime.ts";
import { abortError } from "./abort.ts";
import { backoffMs } from "./backoff.ts";

/** Peers remembered; past that one that has gone or failed makes room, or the newcomer is not remembered. */
export const LAN_CONTACTS_MAX = 32;
/** Newcomers: a bucket of as many as are remembered, refilled at this rate; past that they are not heard. */
const NEWCOMERS_PER_SECOND = 1;
/** Dials at once. */
export const LAN_DIALS_MAX = 4;
/** Dials begun: a bucket of this many, refilled at the rate below; past that they wait. */
export const LAN_DIALS_BURST = 8;
export const LAN_DIALS_PER_SECOND = 1;
/** A peer on the same network has answered by then. */
const DIAL_TIMEOUT_MS = 15_000;
const DIAL_BACKOFF = { firstMs: 4_000, maxMs: 300_000 } as const;
/** A peer that was reached is looked after again, in case its session has ended. */
const LOOK_AGAIN_MS = 60_000;

export interface LanContactsOptions {
  readonly runtime: Pick<Runtime, "clock" | "random" | "log">;
  /** Whether the peer has too few links. */
  wantsLinks(): boolean;
  isLinked(id: PeerId): boolean;
  /** `before`: what was said of it last, which no longer counts. */
  remember(id: PeerId, addresses: readonly string[], before: readonly string[]): void;
  /** Dials the remembered addresses of a peer. */
  connect(id: PeerId, signal: AbortSignal): Promise<unknown>;
}

interface Known {
  readonly id: PeerId;
  addresses: readonly string[];
  /** It is not dialled any more then. */
  expiresAtMs: number;
  dialAtMs: number;
  /** Failed dials in a row. */
  failures: number;
  isDialled: boolean;
}

export class LanContacts {
  readonly #options: LanContactsOptions;
  readonly #known = new Map<PeerId, Known>();
  readonly #dials = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  readonly #newcomers: Allowance;
  readonly #dialling: Allowance;
  #timer: Timer | undefined;

  constructor(options: LanContactsOptions) {
    this.#options = options;
    const nowMs = options.runtime.clock.monotonicMs();
    this.#newcomers = new Allowance(LAN_CONTACTS_MAX, NEWCOMERS_PER_SECOND, nowMs);
    this.#dialling = new Allowance(LAN_DIALS_BURST, LAN_DIALS_PER_SECOND, nowMs);
  }

  knows(id: PeerId): boolean {
    return this.#known.has(id);
  }

  /** Somebody says that a peer is there. */
  hear({ id, addresses }: Contact, ttlMs: number): void {
    const nowMs = this.#options.runtime.clock.monotonicMs();
    const expiresAtMs = nowMs + ttlMs;
    const known = this.#known.get(id);
    const before = known?.addresses ?? [];
    if (known === undefined) {
      if (this.#newcomers.waitMs(nowMs) > 0) return;
      if (this.#known.size >= LAN_CONTACTS_MAX && !this.#makeRoom(nowMs)) return;
      this.#newcomers.spend();
      this.#known.set(id, { id, addresses, expiresAtMs, dialAtMs: nowMs, failures: 0, isDialled: false });
    } else {
      Object.assign(known, { addresses, expiresAtMs });
      // Words do not shorten the wait after a failure, or a liar could have somebody dialled without end.
      if (known.failures === 0) known.dialAtMs = nowMs;
    }
    // Who is linked tells its addresses itself, and proves who it is.
    if (!this.#options.isLinked(id)) this.#options.remember(id, addresses, before);
    this.look();
  }

  /** The peer has said farewell. */
  forget(id: PeerId): void {
    const known = this.#known.get(id);
    if (known === undefined) return;
    known.expiresAtMs = this.#options.runtime.clock.monotonicMs();
    // It may be back at once, and then it can be dialled.
    known.failures = 0;
  }

  /** Dials whom it is time to dial. */
  look(): void {
    if (this.#closing.signal.aborted) return;
    const { clock } = this.#options.runtime;
    const nowMs = clock.monotonicMs();
    let next = this.#next(nowMs);
    while (next !== undefined && next.dialAtMs <= nowMs && this.#dialling.waitMs(nowMs) === 0) {
      this.#dialling.spend();
      this.#spawn(next);
      next = this.#next(nowMs);
    }
    this.#timer?.cancel();
    this.#timer = undefined;
    if (next === undefined) return;
    const waitMs = Math.max(next.dialAtMs - nowMs, this.#dialling.waitMs(nowMs));
    this.#timer = clock.setTimer(waitMs, () => this.look());
  }

  /** Resolves when no dial is under way. */
  async close(): Promise<void> {
    this.#closing.abort(new PeerloomError("peer/closed", "This peer is closing."));
    this.#timer?.cancel();
    await Promise.all(this.#dials);
    this.#known.clear();
  }

  /** Whom to dial next, and when, or undefined when nobody is to be dialled before something happens. */
  #next(nowMs: number): Known | undefined {
    if (this.#dials.size >= LAN_DIALS_MAX || !this.#options.wantsLinks()) return undefined;
    let next: Known | undefined;
    for (const known of this.#known.values()) {
      if (known.isDialled || known.expiresAtMs <= nowMs) continue;
      if (known.dialAtMs <= nowMs && this.#options.isLinked(known.id)) reached(known, nowMs);
      if (next === undefined || known.dialAtMs < next.dialAtMs) next = known;
    }
    return next;
  }

  #spawn(known: Known): void {
    const dial = this.#dial(known).finally(() => {
      this.#dials.delete(dial);
      this.look();
    });
    this.#dials.add(dial);
  }

  async #dial(known: Known): Promise<void> {
    const { clock, log, random } = this.#options.runtime;
    const { id } = known;
    known.isDialled = true;
    try {
      await this.#withinDeadline((signal) => this.#options.connect(id, signal));
      reached(known, clock.monotonicMs());
    } catch (error) {
      known.dialAtMs = clock.monotonicMs() + backoffMs(known.failures, random, DIAL_BACKOFF);
      known.failures += 1;
      log.debug("peer on the local network not reached", { peer: short(id), error: String(error) });
    } finally {
      known.isDialled = false;
    }
  }

  /** Frees the place of a dial that does not end when it is told to. */
  async #withinDeadline(connect: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    const late = new AbortController();
    const timer = this.#options.runtime.clock.setTimer(DIAL_TIMEOUT_MS, () => {
      late.abort(new PeerloomError("connect/timeout", `No answer within ${DIAL_TIMEOUT_MS / 1_000} s.`));
    });
    const signal = AbortSignal.any([late.signal, this.#closing.signal]);
    const { promise: over, reject } = Promise.withResolvers<never>();
    signal.addEventListener("abort", () => reject(abortError(signal)), { once: true });
    try {
      await Promise.race([connect(signal), over]);
    } finally {
      timer.cancel();
    }
  }

  #makeRoom(nowMs: number): boolean {
    let worst: Known | undefined;
    for (const known of this.#known.values()) {
      const failures = known.expiresAtMs <= nowMs ? Number.POSITIVE_INFINITY : known.failures;
      if (!known.isDialled && failures > (worst?.failures ?? 0)) worst = { ...known, failures };
    }
    return worst !== undefined && this.#known.delete(worst.id);
  }
}

/**
 * The addresses to remember of a peer: what is said of it now, and beside it what is known otherwise, which no stranger's
 * words push out.
 */
export function mergeHeard({
  heard,
  before,
  known,
}: {
  readonly heard: readonly string[];
  /** What was said last. */
  readonly before: readonly string[];
  readonly known: readonly string[];
}): readonly string[] {
  const others = known
    .filter((address) => !heard.includes(address) && !before.includes(address))
    .slice(0, ADDRESSES_MAX / 2);
  return [...heard.slice(0, ADDRESSES_MAX - others.length), ...others];
}

function reached(known: Known, nowMs: number): void {
  known.failures = 0;
  known.dialAtMs = nowMs + LOOK_AGAIN_MS;
}
