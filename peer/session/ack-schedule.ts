/**
 * When to acknowledge: after so many bytes, or a little later, best just behind data of our own. The more comes in, the rarer the acknowledgements, since
 * each costs both sides a sealed frame; the sender's window is far larger than what one covers.
 */
import type { Clock, Timer } from "../runtime.ts";

const DELAY_MS = 10;
/** From here on it goes with data: while the other side works on that, and not in the middle of what comes back. */
const RIDE_MS = 8;
const EVERY_BYTES_MIN: number = 64 * 1024;
const EVERY_BYTES_MAX: number = 512 * 1024;

export class AckSchedule {
  readonly #clock: Clock;
  readonly #send: () => void;
  #timer: Timer | undefined;
  #bytes = 0;
  #everyBytes = EVERY_BYTES_MIN;
  #sentAtMs = 0;
  /** Monotonic, of the acknowledgement that `#timer` is for. */
  #rideFromMs = 0;

  constructor(clock: Clock, send: () => void) {
    this.#clock = clock;
    this.#send = send;
  }

  received(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes >= this.#everyBytes) this.now();
    else if (this.#timer === undefined) {
      this.#rideFromMs = this.#clock.monotonicMs() + RIDE_MS;
      this.#timer = this.#clock.setTimer(DELAY_MS, () => this.now());
    }
  }

  /** Data has been sent. */
  ride(): void {
    if (this.#timer !== undefined && this.#clock.monotonicMs() >= this.#rideFromMs) this.now();
  }

  now(): void {
    const nowMs = this.#clock.monotonicMs();
    // Aim at four acknowledgements in the delay.
    const perDelay = (this.#bytes * DELAY_MS) / Math.max(nowMs - this.#sentAtMs, 0.5);
    this.#everyBytes = Math.min(Math.max(perDelay / 4, EVERY_BYTES_MIN), EVERY_BYTES_MAX);
    this.#sentAtMs = nowMs;
    this.stop();
    this.#bytes = 0;
    this.#send();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
