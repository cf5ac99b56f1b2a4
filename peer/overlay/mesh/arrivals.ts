/**
 * Peers whose offer of a link was taken, and whose link does not stand yet. The closest to a newcomer's key hear of it first and are asked
 * for it by everybody; a request that comes a moment too early waits for the link instead of being told that there is no such peer.
 */
import type { Clock, Timer } from "../../runtime.ts";
import type { MeshKey } from "./mesh-key.ts";
import type { MeshContact } from "./openings.ts";

/** ICE, DTLS and the handshake take less, as a rule; who asks gives up after 5 s. */
const ARRIVAL_MS_MAX = 2_000;
/** Past that the one expected longest is forgotten. */
const EXPECTED_MAX = 64;
/** For one peer; more are not kept waiting. */
const WAITING_MAX = 16;

interface Arrival {
  readonly timer: Timer;
  readonly waiting: (() => void)[];
  readonly isNewcomer: boolean;
  /** Those who belong beside it, as far as they are known. */
  beside: readonly MeshContact[];
}

export class Arrivals {
  readonly #clock: Clock;
  readonly #expected = new Map<MeshKey, Arrival>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Its offer was taken. @returns false when it is expected already */
  expect(key: MeshKey, isNewcomer = false): boolean {
    if (this.#expected.has(key)) return false;
    const timer = this.#clock.setTimer(ARRIVAL_MS_MAX, () => this.ended(key));
    this.#expected.set(key, { timer, waiting: [], isNewcomer, beside: [] });
    if (this.#expected.size > EXPECTED_MAX) this.ended(this.#expected.keys().next().value as MeshKey);
    return true;
  }

  /** An edge has sent it here. */
  isNewcomer(key: MeshKey): boolean {
    return this.#expected.get(key)?.isNewcomer === true;
  }

  /** Its place was looked for while it is on its way. */
  placed(key: MeshKey, beside: readonly MeshContact[] = []): void {
    const arrival = this.#expected.get(key);
    if (arrival !== undefined) arrival.beside = beside;
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

  /** It has come, or will not. What waits for it goes on. @returns those who belong beside it */
  ended(key: MeshKey): readonly MeshContact[] {
    const arrival = this.#expected.get(key);
    if (arrival === undefined) return [];
    this.#expected.delete(key);
    arrival.timer.cancel();
    for (const goOn of arrival.waiting) goOn();
    return arrival.beside;
  }

  /** What waits is dropped. */
  close(): void {
    for (const { timer } of this.#expected.values()) timer.cancel();
    this.#expected.clear();
  }
}
