/**
 * Which neighbours are still there: an idle one is asked; who owes an answer is suspect, which means passed over and asked again
 * and again; who stays silent is given up (suspicion before the verdict: Das, Gupta and Motivala, "SWIM", DSN 2002).
 */
import type { Clock, Random } from "../../runtime.ts";
import { spreadMs } from "../backoff.ts";
import type { LinkTable } from "./link-table.ts";
import type { Neighbour } from "./neighbour.ts";

/** An idle neighbour is asked whether it is there, unless its link is a relay's; spread by a fifth so that neighbours take turns. */
const PING_AFTER_MS = 10_000;
/** A suspect is asked again so often, and given up after so long. */
const PROBE_EVERY_MS = 400;
const DEAD_AFTER_MS = 1_500;

export interface FailureDetectorOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly table: LinkTable;
  ask(neighbour: Neighbour, id: number): void;
  /** Still in the table; whoever is told takes it out. */
  dead(neighbour: Neighbour): void;
}

export class FailureDetector {
  readonly #options: FailureDetectorOptions;
  #nextPing = 1;

  constructor(options: FailureDetectorOptions) {
    this.#options = options;
  }

  /** Asks those that were silent for long; called regularly. */
  check(): void {
    const { clock, random, table } = this.#options;
    const nowMs = clock.monotonicMs();
    for (const neighbour of [...table.neighbours.values()]) {
      if (neighbour.isRelayed || neighbour.isSuspect || neighbour.ping !== undefined) continue;
      if (nowMs - neighbour.heardAtMs > spreadMs(PING_AFTER_MS, random)) this.ping(neighbour);
    }
  }

  ping(neighbour: Neighbour): void {
    const id = this.#ask(neighbour);
    this.#options.clock.setTimer(neighbour.timeoutMs, () => {
      if (neighbour.ping?.id !== id || !this.#isLinked(neighbour)) return;
      neighbour.ping = undefined;
      this.suspect(neighbour);
    });
  }

  /** @returns the round trip, ms; undefined when this answers nothing that was asked last */
  answered(neighbour: Neighbour, id: number): number | undefined {
    if (neighbour.ping?.id !== id) return undefined;
    const rttMs = this.#options.clock.monotonicMs() - neighbour.ping.sentAtMs;
    neighbour.ping = undefined;
    return rttMs;
  }

  /** It owes an answer: it is asked again and again, passed over meanwhile, and given up when nothing comes. */
  suspect(neighbour: Neighbour): void {
    if (!this.#isLinked(neighbour) || neighbour.isSuspect) return;
    neighbour.suspectSinceMs = this.#options.clock.monotonicMs();
    this.#probe(neighbour, neighbour.suspectSinceMs);
  }

  #probe(neighbour: Neighbour, sinceMs: number): void {
    const { clock, dead } = this.#options;
    if (!this.#isLinked(neighbour) || neighbour.suspectSinceMs !== sinceMs) return;
    if (clock.monotonicMs() - sinceMs >= DEAD_AFTER_MS) {
      dead(neighbour);
      return;
    }
    this.#ask(neighbour);
    clock.setTimer(PROBE_EVERY_MS, () => this.#probe(neighbour, sinceMs));
  }

  #ask(neighbour: Neighbour): number {
    const id = this.#nextPing++;
    neighbour.ping = { id, sentAtMs: this.#options.clock.monotonicMs() };
    this.#options.ask(neighbour, id);
    return id;
  }

  #isLinked(neighbour: Neighbour): boolean {
    return this.#options.table.neighbours.get(neighbour.key) === neighbour;
  }
}
