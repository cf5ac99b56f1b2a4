/**
 * Puts and gets of one peer take turns: each sends requests several ways, of which the overlay has only so many under way, and one that it
 * refused would look like one that nobody answered.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { Clock } from "../../runtime.ts";
import type { ClientOptions } from "./client.ts";

/** At once; four ways each at first, seven at most. */
export const TURNS_MAX = 32;
/** No other begins while so many ways go on, also of those that have ended without them: the overlay has 256 requests under way. */
const WAYS_MAX: number = 4 * TURNS_MAX;
/** Past that the next fails at once. */
export const WAITING_MAX = 1_024;
/** No longer than this: where nobody answers each turn takes seconds. */
const WAIT_MS_MAX = 30_000;

export class Turns {
  readonly #clock: Pick<Clock, "setTimer">;
  #running = 0;
  #ways = 0;
  /** First come, first served. */
  readonly #waiting = new Set<() => void>();

  constructor(clock: Pick<Clock, "setTimer">) {
    this.#clock = clock;
  }

  /** The overlay, as those who take turns ask it. */
  over(mesh: ClientOptions["mesh"]): ClientOptions["mesh"] {
    const { size, reach } = mesh;
    return {
      size,
      reach,
      ask: (target, body, done, options) => {
        this.#ways += 1;
        const answered: typeof done = (answer) => {
          this.#ways -= 1;
          done(answer);
          this.#passOn();
        };
        mesh.ask(target, body, answered, options);
      },
    };
  }

  /** @throws PeerloomError `records/busy`, whatever `signal` was aborted with, whatever `work` throws */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#waiting.size === 0 && this.#hasRoom) this.#running += 1;
    else await this.#turn(signal);
    try {
      return await work();
    } finally {
      this.#running -= 1;
      this.#passOn();
    }
  }

  get #hasRoom(): boolean {
    return this.#running < TURNS_MAX && this.#ways < WAYS_MAX;
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

  /** Something has ended: it is the next one's turn, and of one only, for its ways are yet to come. */
  #passOn(): void {
    const [next] = this.#waiting;
    if (next === undefined || !this.#hasRoom) return;
    this.#running += 1;
    next();
  }
}

function busy(): PeerloomError {
  return new PeerloomError(
    "records/busy",
    "Too many records are being put and got by this peer. Wait for some before the next.",
  );
}
