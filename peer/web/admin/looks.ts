/**
 * Looks again and again while the page is in sight: after a failure later and later, and at once when the page, or its machine's network, is there
 * again. Each look has its deadline, and there is one at a time.
 */
import { jittered } from "../elements/jittered.ts";

/** A look costs the edge about five units and one for each object that is awake: at this pace some 40,000 a day, less than a cent. */
const EVERY_MS = 10_000;
const AGAIN_MS = { first: 2_000, max: 60_000 } as const;

export interface LooksOptions {
  /** @param signal aborted when nothing is to be looked at any more */
  look(signal: AbortSignal): Promise<void>;
  /** @param againMs how long until the next look */
  onFailure(error: unknown, againMs: number): void;
}

export class Looks {
  readonly #options: LooksOptions;
  readonly #stop = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking: Promise<void> | undefined;
  #pauseMs: number = AGAIN_MS.first;

  constructor(options: LooksOptions) {
    this.#options = options;
    const { signal } = this.#stop;
    document.addEventListener("visibilitychange", () => void this.now(), { signal });
    addEventListener("online", () => void this.now(), { signal });
    void this.now();
  }

  /** Resolves when what is there now has been looked at; never rejects. */
  async now(): Promise<void> {
    // What is under way may have asked before something changed.
    await this.#looking;
    if (this.#stop.signal.aborted || document.visibilityState !== "visible") return;
    await (this.#looking ??= this.#look());
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#stop.abort();
  }

  async #look(): Promise<void> {
    const { signal } = this.#stop;
    clearTimeout(this.#timer);
    let pauseMs = EVERY_MS;
    try {
      await this.#options.look(signal);
      this.#pauseMs = AGAIN_MS.first;
    } catch (error) {
      if (signal.aborted) return;
      pauseMs = jittered(this.#pauseMs);
      this.#pauseMs = Math.min(2 * this.#pauseMs, AGAIN_MS.max);
      this.#options.onFailure(error, pauseMs);
    } finally {
      this.#looking = undefined;
      if (!signal.aborted) this.#timer = setTimeout(() => void this.now(), pauseMs);
    }
  }
}
