/**
 * Over how many WebRTC connections a session spreads its bulk. One SCTP association is limited by loss: with 1 % of it and 50 ms no setting
 * gives more than 0.3 MB/s, and several add up. Without any loss usrsctp (Node's) is cut to that now and then by itself: its retransmission
 * timer starts anew only when nothing is under way, so it fires all the while, and what is older by then than the smoothed round trip counts
 * as lost (`sctp_t3rxt_timer`). Whether that, the line or the machine is the limit cannot be seen from above, so it is tried: several times as
 * many, kept only if the rate follows. Where the line is the limit that costs a few handshakes, more and more rarely.
 */

/** Stripes of one session, the first included: bounds memory, sockets and the share of a line taken from others. */
export const STRIPES_MAX = 16;
/** Each try multiplies by this. */
const STEP = 4;
/** Rate that so many more must bring, or they are closed. */
const GAIN_MIN = 1.25;
/** A rest ends early when so small a share is left of the rate that it began with. */
const FALLEN = 0.7;
/** Nearer peers are limited by the machine. */
export const FAR_RTT_MS_MIN = 15;
/** With as much under way neither loss nor that timer is the limit. */
const LARGE_WINDOW_BYTES: number = 3 * 1024 * 1024;
const SAMPLE_MS_MIN = 1_000;
const SAMPLE_ROUND_TRIPS = 16;
/** Connections are made, or not, by then. */
const OPENING_MS_MAX = 6_000;
/** Without bulk for so long only one is kept. */
const IDLE_MS = 10_000;
const RETRY_MS_FIRST = 60_000;
const RETRY_MS_MAX = 960_000;

/** What is seen of a session at one moment. */
export interface StripeView {
  readonly nowMs: number;
  /** Bytes that have arrived since the session began. */
  readonly landedBytes: number;
  /** More waits to be sent than the windows take. */
  readonly isLimited: boolean;
  /** WebRTC paths that carry data now. */
  readonly stripes: number;
  /** The smallest round trip; undefined where nothing can be striped. */
  readonly rttMs: number | undefined;
}

/** Where a measurement began. */
interface Start {
  readonly fromMs: number;
  readonly fromBytes: number;
}

type Phase =
  /** Measures what there is. */
  | ({ readonly name: "sampling" } & Start)
  /** Waits until there are more. */
  | { readonly name: "opening"; readonly untilMs: number }
  /** Stays with what there is, as long as the rate holds that it had at the beginning. */
  | ({ readonly name: "resting"; readonly untilMs: number; readonly rate: number } & Start);

export class StripePlan {
  #wanted = 1;
  #phase: Phase | undefined;
  /** Rate with fewer stripes, bytes/ms, and how many those were. */
  #before: { readonly rate: number; readonly wanted: number } | undefined;
  #limitedAtMs = 0;
  #retryMs = RETRY_MS_FIRST;

  /** Stripes that should be there. */
  get wanted(): number {
    return this.#wanted;
  }

  /** Looks again, several times a second while something is under way. @returns how many stripes should be there */
  step(view: StripeView): number {
    const { nowMs, rttMs } = view;
    if (view.isLimited) this.#limitedAtMs = nowMs;
    if (rttMs === undefined || nowMs - this.#limitedAtMs > IDLE_MS) {
      this.#wanted = 1;
      this.#before = undefined;
      if (this.#phase?.name !== "resting") this.#phase = undefined;
      return 1;
    }
    this.#advance(view, rttMs);
    return this.#wanted;
  }

  #advance(view: StripeView, rttMs: number): void {
    const { nowMs, landedBytes } = view;
    const here: Start = { fromMs: nowMs, fromBytes: landedBytes };
    const sampleMs = Math.max(SAMPLE_MS_MIN, SAMPLE_ROUND_TRIPS * rttMs);
    const phase = this.#phase;
    if (phase === undefined) {
      if (view.isLimited) this.#phase = { name: "sampling", ...here };
    } else if (phase.name === "opening") {
      if (view.stripes >= this.#wanted || nowMs >= phase.untilMs) this.#phase = { name: "sampling", ...here };
    } else if (phase.name === "resting" && nowMs >= phase.untilMs) this.#phase = undefined;
    else if (!view.isLimited && nowMs - this.#limitedAtMs > rttMs) {
      // The application was the limit; that says nothing.
      this.#phase = phase.name === "resting" ? { ...phase, ...here } : undefined;
    } else if (nowMs - phase.fromMs >= sampleMs) {
      const rate = (landedBytes - phase.fromBytes) / (nowMs - phase.fromMs);
      if (phase.name === "sampling") this.#judge(rate, here, rttMs);
      else this.#phase = rate < phase.rate * FALLEN ? undefined : { ...phase, ...here };
    }
  }

  #judge(rate: number, here: Start, rttMs: number): void {
    const nowMs = here.fromMs;
    const before = this.#before;
    const rest = (forMs: number): Phase => ({ name: "resting", untilMs: nowMs + forMs, rate, ...here });
    if (before !== undefined && rate < before.rate * GAIN_MIN) {
      this.#wanted = before.wanted;
      this.#before = undefined;
      this.#phase = rest(this.#retryMs);
      this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MS_MAX);
      return;
    }
    const isWorthMore = rttMs >= FAR_RTT_MS_MIN && rate * rttMs < LARGE_WINDOW_BYTES;
    if (!isWorthMore || this.#wanted >= STRIPES_MAX) {
      this.#phase = rest(RETRY_MS_FIRST);
      this.#before = undefined;
      return;
    }
    this.#before = { rate, wanted: this.#wanted };
    this.#wanted = Math.min(this.#wanted * STEP, STRIPES_MAX);
    this.#phase = { name: "opening", untilMs: nowMs + OPENING_MS_MAX };
  }
}
