/**
 * When to be at the rendezvous. A newcomer stays until the overlay carries it; then it leaves, unless the edge asked it to stay as a beacon,
 * and comes back for what needs the edge: a relay, a peer that nobody knows, somebody who asks it to. When a
 * beacon among its neighbours is gone, each neighbour may take its place, by chance, so that newcomers always meet somebody.
 */
import type { Runtime, Timer } from "../runtime.ts";
import { spreadMs } from "./backoff.ts";
import type { Overlay } from "./overlay.ts";
import type { Rendezvous } from "./rendezvous.ts";

/** How often it is asked whether the rendezvous is still needed. */
const LOOK_EVERY_MS = 2_000;
/** Newly come, others may still want to signal through it. */
const IDLE_MS = 5_000;
const SPREAD = 0.3;
/** Neighbours of a lost beacon that come back, on average; the edge lets those go that are too many. */
const SUCCESSORS = 3;
/** They do not come all at once. */
const SUCCESSION_MS = 10_000;
/** Others may ask this peer back so often. */
const MEET_EVERY_MS = 5_000;

export interface MembershipOptions {
  readonly runtime: Runtime;
  readonly rendezvous: Rendezvous;
  readonly overlay: Overlay;
}

export class Membership {
  readonly #options: MembershipOptions;
  #lookTimer: Timer | undefined;
  #returnTimer: Timer | undefined;
  #metAtMs: number = Number.NEGATIVE_INFINITY;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** The edge has let this peer in. `keep`: it asks it to stay. */
  joined(keep: boolean): void {
    this.#lookTimer?.cancel();
    this.#options.overlay.setBeacon(keep);
    if (!keep) this.#look();
  }

  /** The edge would not mind if this peer left. */
  released(): void {
    this.joined(false);
  }

  /** A neighbour that was a beacon is gone. */
  beaconLost(): void {
    const { runtime, overlay, rendezvous } = this.#options;
    if (rendezvous.state.phase !== "released" || this.#returnTimer !== undefined) return;
    if (runtime.random.unit() * Math.max(overlay.size, 1) >= SUCCESSORS) return;
    this.#returnTimer = runtime.clock.setTimer(runtime.random.unit() * SUCCESSION_MS, () => {
      this.#returnTimer = undefined;
      rendezvous.want();
    });
  }

  /** A proved peer wants to meet at the edge. */
  meet(): void {
    const nowMs = this.#options.runtime.clock.monotonicMs();
    if (nowMs - this.#metAtMs < MEET_EVERY_MS) return;
    this.#metAtMs = nowMs;
    this.#options.rendezvous.want();
  }

  close(): void {
    this.#lookTimer?.cancel();
    this.#returnTimer?.cancel();
  }

  #look(): void {
    const { runtime, overlay, rendezvous } = this.#options;
    const delayMs = spreadMs(LOOK_EVERY_MS, runtime.random, SPREAD);
    this.#lookTimer = runtime.clock.setTimer(delayMs, () => {
      if (rendezvous.state.phase !== "joined") return;
      if (overlay.isReady && rendezvous.idleMs > IDLE_MS) rendezvous.release();
      else this.#look();
    });
  }
}
