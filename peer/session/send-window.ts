/**
 * How many bytes a path may have unacknowledged. Links are reliable pipes with queues of their own, so nothing is lost
 * when too much is sent: it only waits, and a ping waits behind it. As in BBR (Cardwell et al., CACM 60(2), 2017) the
 * window follows the measured delivery rate and the smallest round trip, not loss.
 */

/** Queueing that bulk may cause on top of the round trip. */
const QUEUE_MS = 25;
/** On a fast path less time is enough; more would only fall out of the processor's cache. */
const QUEUE_BYTES_MAX: number = 6 * 1024 * 1024;
/** A frame takes so long at most: nothing comes between its bytes. */
const FRAME_MS = 10;
/** More than one, so that the window grows until the path is full. */
const ROUND_TRIPS = 1.5;
/** Before anything was measured. */
const FIRST_WINDOW_BYTES: number = 64 * 1024;
const WINDOW_BYTES_MIN: number = 16 * 1024;
const FIRST_RTT_MS = 100;
/**
 * A rate that is not confirmed fades by this share with every acknowledgement of a full window, and over distance with every round trip:
 * a moment in which the processor was busy with others must not close the window of a long path.
 */
const RATE_FADE = 0.9;
/** A frame that took so many times as long as the rate had promised shows that the path has become slower, full window or not. */
const LATE = 2;
const LATE_MS_MIN = 30;
const LATE_FADE = 0.7;
const FRAME_BYTES_MIN: number = 4 * 1024;
const FIRST_FRAME_BYTES: number = 16 * 1024;
const ELAPSED_MS_MIN = 0.2;

/** What the sender remembers of each frame to learn the rate when it is acknowledged. */
export interface DeliveryMark {
  readonly deliveredBytes: number;
  readonly deliveredAtMs: number;
  /** The window was full when the frame was sent, so the rate was the path's and not the application's. */
  readonly windowFull: boolean;
  /** Later than this the path was slower than it was thought to be. */
  readonly lateAtMs: number;
}

export class SendWindow {
  readonly #bytesMax: number;
  /** A plaintext's, as the link takes it. */
  readonly frameBytesMax: number;
  #inFlightBytes = 0;
  #deliveredBytes = 0;
  #deliveredAtMs = 0;
  #bytesPerMs: number | undefined;

  constructor(limits: { readonly bytesMax: number; readonly frameBytesMax: number }) {
    this.#bytesMax = limits.bytesMax;
    this.frameBytesMax = limits.frameBytesMax;
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  /** Bytes that may be in flight, given the smallest round trip seen. */
  bytes(rttMsMin: number | undefined): number {
    if (this.#bytesPerMs === undefined) return Math.min(FIRST_WINDOW_BYTES, this.#bytesMax);
    const wanted =
      this.#bytesPerMs * ROUND_TRIPS * (rttMsMin ?? FIRST_RTT_MS) +
      Math.min(this.#bytesPerMs * QUEUE_MS, QUEUE_BYTES_MAX);
    return Math.min(Math.max(wanted, WINDOW_BYTES_MIN), this.#bytesMax);
  }

  /** A frame's plaintext: at most what the path delivers in a short time, so that others get their turn. */
  frameBytes(): number {
    if (this.#bytesPerMs === undefined) return Math.min(this.frameBytesMax, FIRST_FRAME_BYTES);
    return Math.min(Math.max(Math.floor(this.#bytesPerMs * FRAME_MS), FRAME_BYTES_MIN), this.frameBytesMax);
  }

  /** How long a frame sent now waits behind those before it. */
  queueMs(): number {
    return this.#inFlightBytes / (this.#bytesPerMs ?? FIRST_WINDOW_BYTES / FIRST_RTT_MS);
  }

  sent(bytes: number, rttMsMin: number | undefined, nowMs: number): DeliveryMark {
    if (this.#inFlightBytes === 0) this.#deliveredAtMs = nowMs;
    this.#inFlightBytes += bytes;
    const promisedMs = (rttMsMin ?? FIRST_RTT_MS) + this.queueMs();
    return {
      deliveredBytes: this.#deliveredBytes,
      deliveredAtMs: this.#deliveredAtMs,
      windowFull: this.#inFlightBytes >= this.bytes(rttMsMin) / 2,
      lateAtMs: nowMs + LATE * promisedMs + LATE_MS_MIN,
    };
  }

  acknowledged(bytes: number, mark: DeliveryMark, nowMs: number, rttMsMin = 0): void {
    this.forgotten(bytes);
    this.#deliveredBytes += bytes;
    const sinceMs = nowMs - this.#deliveredAtMs;
    this.#deliveredAtMs = nowMs;
    const elapsedMs = Math.max(nowMs - mark.deliveredAtMs, ELAPSED_MS_MIN);
    const bytesPerMs = (this.#deliveredBytes - mark.deliveredBytes) / elapsedMs;
    let kept = 1;
    if (nowMs > mark.lateAtMs) kept = LATE_FADE;
    else if (mark.windowFull) kept = RATE_FADE ** (rttMsMin > sinceMs ? sinceMs / rttMsMin : 1);
    this.#bytesPerMs = Math.max(bytesPerMs, (this.#bytesPerMs ?? 0) * kept);
  }

  /** A frame will be sent again on another path. */
  forgotten(bytes: number): void {
    this.#inFlightBytes = Math.max(0, this.#inFlightBytes - bytes);
  }
}
