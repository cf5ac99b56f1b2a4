/**
 * Finds out that a silent socket is dead, which TCP alone may take many minutes to say. The edge answers the text `ping`
 * by itself without waking an object, so this costs it nothing.
 */
import type { Clock, Timer } from "../runtime.ts";

/** A ping goes out after this much silence; NATs forget an idle connection after 30 s and more. */
export const PING_SILENCE_MS = 25_000;
/** A ping counts as unanswered after this. */
export const PING_ANSWER_MS = 10_000;
/** Where something speaks against the socket already, one ping is asked, and this long waited for. */
export const DOUBT_ANSWER_MS = 2_000;
/** With so many unanswered pings in a row the socket is given up. */
export const PINGS_UNANSWERED_MAX = 2;

export class KeepAlive {
  readonly #clock: Clock;
  readonly #ping: () => void;
  readonly #dead: () => void;
  #heardMs: number;
  #unanswered = 0;
  #isDoubted = false;
  #timer: Timer | undefined;

  constructor(clock: Clock, effects: { readonly ping: () => void; readonly dead: () => void }) {
    this.#clock = clock;
    this.#ping = effects.ping;
    this.#dead = effects.dead;
    this.#heardMs = clock.monotonicMs();
    this.#wait(PING_SILENCE_MS);
  }

  /** Something came: the other side lives. Moves no timer, since messages are many and timers cost more. */
  heard(): void {
    this.#heardMs = this.#clock.monotonicMs();
    this.#unanswered = 0;
  }

  /** Other connections of this machine have died, so this one may have too: it is asked at once, and soon given up. */
  doubt(): void {
    if (this.#isDoubted || this.#timer === undefined) return;
    this.#isDoubted = true;
    this.#timer.cancel();
    this.#timer = this.#clock.setTimer(DOUBT_ANSWER_MS, () => {
      this.#isDoubted = false;
      if (this.#unanswered === 0) this.#wait(PING_SILENCE_MS);
      else this.#dead();
    });
    this.#unanswered += 1;
    this.#ping();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #wait(delayMs: number): void {
    this.#timer = this.#clock.setTimer(delayMs, () => this.#look());
  }

  #look(): void {
    const silentMs = this.#clock.monotonicMs() - this.#heardMs;
    if (this.#unanswered === 0 && silentMs < PING_SILENCE_MS) {
      this.#wait(PING_SILENCE_MS - silentMs);
      return;
    }
    if (this.#unanswered === PINGS_UNANSWERED_MAX) {
      this.#dead();
      return;
    }
    this.#unanswered += 1;
    this.#wait(PING_ANSWER_MS);
    this.#ping();
  }
}
