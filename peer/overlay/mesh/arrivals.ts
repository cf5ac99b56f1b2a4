/**
 * Peers whose offer of a link was taken, and whose link does not stand yet. The closest to a newcomer's key hear of it first and are asked
 * for it by everybody; a request that comes a moment too early waits for the link instead of being told that there is no such peer.
 */
import type { Clock, Timer } from "../../runtime.ts";
import type { MeshKey } from "./mesh-key.ts";

/** ICE, DTLS and the handshake take less, as a rule; who asks gives up after 5 s. */
const ARRIVAL_MS_MAX = 2_000;
/** Past that the one expected longest is forgotten. */
const EXPECTED_MAX = 64;
/** For one peer; more are not kept waiting. */
const WAITING_MAX = 16;

interface Arrival {
  readonly timer: Timer;
  readonly waiting: (() => void)[];
}

export class Arrivals {
  readonly #clock: Clock;
  readonly #expected = new Map<MeshKey, Arrival>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Its offer was taken. */
  expect(key: MeshKey): void {
    if (this.#expected.has(key)) return;
    const timer = this.#clock.setTimer(ARRIVAL_MS_MAX, () => this.ended(key));
    this.#expected.set(key, { timer, waiting: [] });
    if (this.#expected.size > EXPECTED_MAX) this.ended(this.#expected.keys().next().value as MeshKey);
  }

  /**
   * Has something go on when the peer has come, or is not expected any more.
   * @returns false when it is not expected, or too many wait: then `goOn` is not called
   */
  wait(key: MeshKey, goOn: () => void): boolean {
    const arrival = this.#expected.get(key);
    if (arrival === undefined || arrival.waiting.length === WAITING_MAX) return false;
    arrival.waiting.push(goOn);
    return true;
  }

  /** It has come, or will not. What waits for it goes on. */
  ended(key: MeshKey): void {
    const arrival = this.#expected.get(key);
    if (arrival === undefined) return;
    this.#expected.delete(key);
    arrival.timer.cancel();
    for (const goOn of arrival.waiting) goOn();
  }

  /** What waits is dropped. */
  close(): void {
    for (const { timer } of this.#expected.values()) timer.cancel();
    this.#expected.clear();
  }
}
