/**
 * Provider records of a swarm: says that this peer has some of it, and asks who else does, again from time to time while a download
 * lacks sources. Without an overlay both do nothing.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { Runtime } from "../../runtime.ts";

const ASK_FIRST_MS = 2_000;
const ASK_MAX_MS = 120_000;
const SAY_RETRY_FIRST_MS = 1_000;
const SAY_RETRY_MAX_MS = 60_000;
const SPREAD = 0.3;

/** What files ask of records. */
export interface ProviderRecords {
  provide(key: string, options?: { readonly signal?: AbortSignal }): Promise<() => void>;
  providers(key: string, options?: { readonly signal?: AbortSignal }): Promise<readonly PeerId[]>;
}

/** Says it until the signal is aborted; again when it was not kept. Never rejects. */
export async function sayProvider(
  { clock, random, log }: Runtime,
  records: ProviderRecords,
  keyText: string,
  signal: AbortSignal,
): Promise<void> {
  for (let retryMs = SAY_RETRY_FIRST_MS; !signal.aborted; retryMs = Math.min(2 * retryMs, SAY_RETRY_MAX_MS)) {
    try {
      const takeBack = await records.provide(keyText, { signal });
      if (signal.aborted) takeBack();
      else signal.addEventListener("abort", takeBack, { once: true });
      return;
    } catch (error) {
      log.debug("provider not announced", { error: String(error) });
      if (isOver(error)) return;
      await clock.sleep(retryMs * (1 + SPREAD * random.unit()), signal).catch(() => {});
    }
  }
}

/** Asks who provides, as long as somebody is lacking. */
export class ProviderSearch {
  readonly #runtime: Runtime;
  readonly #records: ProviderRecords;
  readonly #keyText: string;
  readonly #signal: AbortSignal;
  #nextMs = 0;
  #intervalMs = ASK_FIRST_MS;
  #isAsking = false;
  #isImpossible = false;
  #askedAtMs = Number.NEGATIVE_INFINITY;

  onFound: (ids: readonly PeerId[]) => void = () => {};

  constructor(runtime: Runtime, records: ProviderRecords, keyText: string, signal: AbortSignal) {
    this.#runtime = runtime;
    this.#records = records;
    this.#keyText = keyText;
    this.#signal = signal;
  }

  /** Sources are lacking: asks, unless it did not long ago. */
  need(): void {
    const { clock, random } = this.#runtime;
    const nowMs = clock.monotonicMs();
    if (this.#isAsking || this.#isImpossible || nowMs < this.#nextMs) return;
    this.#isAsking = true;
    this.#askedAtMs = nowMs;
    this.#nextMs = nowMs + this.#intervalMs * (1 + SPREAD * random.unit());
    this.#intervalMs = Math.min(2 * this.#intervalMs, ASK_MAX_MS);
    this.#records
      .providers(this.#keyText, { signal: this.#signal })
      .then((ids) => this.onFound(ids))
      .catch((error: unknown) => {
        this.#isImpossible = isOver(error);
      })
      .finally(() => {
        this.#isAsking = false;
      });
  }

  /** Whether all that can be known was known at that time. */
  hasAskedSince(timeMs: number): boolean {
    return this.#isImpossible || (!this.#isAsking && this.#askedAtMs >= timeMs);
  }

  /** Everybody known was lost: the next question comes soon, and is the first again; not sooner than ever, however often they are lost. */
  hurry(): void {
    this.#intervalMs = ASK_FIRST_MS;
    this.#nextMs = Math.min(this.#nextMs, this.#askedAtMs + ASK_FIRST_MS);
  }
}

function isOver(error: unknown): boolean {
  return (
    error instanceof PeerloomError && ["records/unavailable", "peer/closed", "aborted"].includes(error.code)
  );
}
