/** What a simulated machine sends by: all its paths share it, a frame each in turn. */
import type { Clock } from "../../runtime.ts";

export class SimUplink {
  /** Bytes sent, of all paths. */
  bytesSent = 0;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #bytesPerSecond: number;
  #freeAtMs = 0;

  constructor(clock: Pick<Clock, "monotonicMs">, bytesPerSecond: number) {
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** @returns ms until so many bytes have left, behind all that was taken before */
  take(bytes: number): number {
    const nowMs = this.#clock.monotonicMs();
    this.bytesSent += bytes;
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs) + (bytes / this.#bytesPerSecond) * 1000;
    return this.#freeAtMs - nowMs;
  }
}
