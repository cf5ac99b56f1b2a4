/**
 * Who may signal through the edge now. A newcomer is told of up to sixteen peers, and each message there is billed: four negotiations have
 * their turn at once, and once a link stands peers carry the others. A turn ends by itself, so that two who do not answer hold nobody up.
 */
import type { Clock } from "../runtime.ts";

const TURNS = 4;
/** A pair that meets next door has met by then; for one far away the next begins beside it. */
const TURN_MS = 1_000;
const LOOK_EVERY_MS = 20;

export class EdgeTurns {
  readonly #clock: Clock;
  #taken = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * @param isNeeded asked while it waits
   * @returns what ends the turn, or undefined when none is needed any more
   * @throws the signal's reason when aborted
   */
  async take(isNeeded: () => boolean, signal: AbortSignal): Promise<(() => void) | undefined> {
    for (;;) {
      signal.throwIfAborted();
      if (!isNeeded()) return undefined;
      if (this.#taken < TURNS) break;
      await this.#clock.sleep(LOOK_EVERY_MS, signal);
    }
    this.#taken += 1;
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      timer.cancel();
      this.#taken -= 1;
    };
    const timer = this.#clock.setTimer(TURN_MS, end);
    return end;
  }
}
