/**
 * When a rendezvous is dialled: at once or after a wait, sooner when somebody needs it now, only when somebody does once it was left, and not
 * while the program is put away. It says when; rendezvous.ts dials.
 */
import type { Runtime } from "../runtime.ts";

/** Who needs the edge now waits for the next attempt no longer than this. */
export const HURRY_MS = 3_000;

export class DialOnDemand {
  readonly #runtime: Pick<Runtime, "clock" | "random">;
  /** Aborted to leave without closing. */
  #stay = new AbortController();
  /** Ends the state of being left. */
  #wake: () => void = () => {};
  /** Ends a long wait early: somebody needs the edge now, or this machine is back. */
  #hurry: () => void = () => {};
  #isPaused = false;
  /** While it is still leaving. */
  #isWanted = false;

  constructor(runtime: Pick<Runtime, "clock" | "random">) {
    this.#runtime = runtime;
  }

  /** It is put away. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** It was left, or is to be. */
  get isLeft(): boolean {
    return this.#stay.signal.aborted;
  }

  /** It is dialled. @returns aborted when it is to be left */
  dialled(): AbortSignal {
    this.#stay = new AbortController();
    this.#isWanted = false;
    return this.#stay.signal;
  }

  /** Leaves until `want`. */
  release(): void {
    this.#stay.abort();
  }

  /** Dials again after `release`, unless paused. */
  want(): void {
    if (this.#isPaused) return;
    if (this.isLeft) this.#isWanted = true;
    this.#wake();
  }

  /** Leaves, in whatever state it is, until `resume`. */
  pause(): void {
    this.#isPaused = true;
    this.#stay.abort();
    this.#hurry();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.want();
  }

  /** Waits no longer. */
  hurry(): void {
    this.#hurry();
  }

  /**
   * Waits so long, or less when somebody waits for the edge: but even then not all who lost it together come at once.
   * @param mayHurry a closed edge is not asked again before it said, whoever hurries
   */
  async wait(delayMs: number, mayHurry: boolean, closing: AbortSignal): Promise<void> {
    const { clock, random } = this.#runtime;
    const signal = AbortSignal.any([closing, this.#stay.signal]);
    const hurry = new AbortController();
    const endMs = clock.monotonicMs() + delayMs;
    if (mayHurry) this.#hurry = () => hurry.abort();
    await clock.sleep(delayMs, AbortSignal.any([signal, hurry.signal])).catch(() => {}); // Who waits sees that it was aborted.
    this.#hurry = () => {};
    if (signal.aborted || !hurry.signal.aborted) return;
    const leftMs = Math.min(endMs - clock.monotonicMs(), random.unit() * HURRY_MS);
    if (leftMs > 0) await clock.sleep(leftMs, signal).catch(() => {});
  }

  /** It was left: waits until it is wanted, which may have been meanwhile. */
  async untilWanted(closing: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    closing.addEventListener("abort", this.#wake, { once: true });
    if (!this.#isWanted && !closing.aborted) await promise;
    closing.removeEventListener("abort", this.#wake);
    this.#wake = () => {};
    this.#isWanted = false;
  }
}
