/**
 * Puts and gets of one peer take turns: each sends requests several ways, of which the overlay has only so many under way, and one that it
 * refused would look like one that nobody answered.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { Clock } from "../../runtime.ts";

/** At once; seven ways each are 224 of the overlay's 256 requests. */
export const TURNS_MAX = 32;
/** Past that the next fails at once. */
export const WAITING_MAX = 1_024;
/** No longer than this: where nobody answers each turn takes seconds. */
const WAIT_MS_MAX = 30_000;

export class Turns {
  readonly #clock: Pick<Clock, "setTimer">;
  #running = 0;
  /** First come, first served. */
  readonly #waiting = new Set<() => void>();

  constructor(clock: Pick<Clock, "setTimer">) {
    this.#clock = clock;
  }

  /** @throws PeerloomError `records/busy`, whatever `signal` was aborted with, whatever `work` throws */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#running < TURNS_MAX) this.#running += 1;
    else await this.#turn(signal);
    try {
      return await work();
    } finally {
      this.#passOn();
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.size >= WAITING_MAX) throw busy();
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#waiting.delete(start);
        timer.cancel();
        signal?.removeEventListener("abort", abort);
      };
      const start = (): void => {
        end();
        resolve();
      };
      const fail = (reason: unknown): void => {
        end();
        reject(reason as Error);
      };
      const abort = (): void => fail(signal?.reason);
      const timer = this.#clock.setTimer(WAIT_MS_MAX, () => fail(busy()));
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.add(start);
    });
  }

  /** The turn of one that has ended is the next one's. */
  #passOn(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#running -= 1;
    else next();
  }
}

function busy(): PeerloomError {
  return new PeerloomError(
    "records/busy",
    "Too many records are being put and got by this peer. Wait for some before the next.",
  );
}
