/**
 * When what goes on around sessions is made (weave.ts). Where its code is at hand, at once. A page connects first: it loads that code when
 * its first session stands or something else needs it, and a moment after joining in any case, since others are to find it.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { untilAborted } from "../overlay/abort.ts";
import { backoffMs } from "../overlay/backoff.ts";
import type { Runtime } from "../runtime.ts";
import type { Woven } from "./weave.ts";

/** After joining a page's first connect has the line for itself for so long. */
const LATE_MS = 1_000;
/** Between attempts to load the code. A page that waits for it learns of each failure in the log alone. */
const RELOAD_BACKOFF = { firstMs: 2_000, maxMs: 60_000 } as const;

export interface WeavingOptions {
  readonly runtime: Pick<Runtime, "clock" | "random" | "log">;
  readonly isLate: boolean;
  /** @throws PeerloomError `edge/unreachable` when the code cannot be loaded */
  make(): Promise<Woven>;
}

export class Weaving {
  readonly #options: WeavingOptions;
  readonly #needed = new AbortController();
  readonly #closing = new AbortController();
  #made: Promise<Woven> | undefined;

  constructor(options: WeavingOptions) {
    this.#options = options;
  }

  /** It is made later than sessions may begin. */
  get isLate(): boolean {
    return this.#options.isLate;
  }

  /** The first call begins; a late one lets connecting go first. @throws PeerloomError `edge/unreachable` unless late, `peer/closed` */
  begin(): Promise<Woven> {
    this.#made ??= this.isLate ? this.#later() : this.#options.make();
    this.#made.catch(() => {}); // Whoever waits for it is told.
    return this.#made;
  }

  /** Something needs it now. @throws PeerloomError `peer/closed`, `aborted` */
  async need(signal?: AbortSignal): Promise<Woven> {
    this.#needed.abort();
    const made = this.begin();
    return signal === undefined ? made : untilAborted(made, signal);
  }

  close(): void {
    this.#closing.abort(new PeerloomError("peer/closed", "This peer is closing."));
  }

  async #later(): Promise<Woven> {
    const { runtime, make } = this.#options;
    const { signal: closing } = this.#closing;
    const waiting = AbortSignal.any([this.#needed.signal, closing]);
    await runtime.clock.sleep(LATE_MS, waiting).catch(() => {});
    for (let attempt = 0; ; attempt++) {
      closing.throwIfAborted();
      try {
        return await make();
      } catch (error) {
        closing.throwIfAborted();
        runtime.log.warn("overlay not loaded", { error: String(error) });
      }
      await runtime.clock.sleep(backoffMs(attempt, runtime.random, RELOAD_BACKOFF), closing);
    }
  }
}
