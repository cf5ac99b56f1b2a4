/**
 * Whom a download may ask, from wherever it heard of them: its ticket, provider records, other members. Pure bookkeeping: who is due, who
 * has failed how often, who lied. Bounded, and what strangers say never pushes out who the ticket names.
 */
import type { PeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import { putsOut } from "../../overlay/no-path.ts";
import { PROVIDERS_MAX, type TicketProvider } from "./ticket.ts";

export const CANDIDATES_MAX: number = 64 + PROVIDERS_MAX;
const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 5_000;
/** One that was let go because others waited is not asked again for so long, so that two do not change places all the time. */
const REST_MS = 15_000;
/** Hearsay that failed so often in a row is forgotten. */
const HEARSAY_ATTEMPTS_MAX = 5;

/** In the order in which they are asked. */
export type Origin = "ticket" | "record" | "member";

export interface Candidate {
  readonly provider: TicketProvider;
  readonly origin: Origin;
  state: "idle" | "active" | "banned";
  /** Failed, or let go, in a row without giving anything. */
  attempts: number;
  dueAtMs: number;
}

export class Candidates {
  readonly #own: PeerId;
  readonly #unit: () => number;
  readonly #all = new Map<PeerId, Candidate>();

  /** @param own never asked; @param unit uniform in [0, 1) */
  constructor(own: PeerId, unit: () => number) {
    this.#own = own;
    this.#unit = unit;
  }

  /** @returns whether it was unknown, and is taken */
  add(provider: TicketProvider, origin: Origin, nowMs: number): boolean {
    if (provider.id === this.#own || this.#all.has(provider.id)) return false;
    if (this.#all.size >= CANDIDATES_MAX) return false;
    this.#all.set(provider.id, { provider, origin, state: "idle", attempts: 0, dueAtMs: nowMs });
    return true;
  }

  isDue(nowMs: number): boolean {
    return [...this.#all.values()].some(({ state, dueAtMs }) => state === "idle" && dueAtMs <= nowMs);
  }

  /** The one to ask next, of those that are due; now marked as active. */
  take(nowMs: number): Candidate | undefined {
    let best: Candidate | undefined;
    for (const candidate of this.#all.values()) {
      if (candidate.state !== "idle" || candidate.dueAtMs > nowMs) continue;
      if (best === undefined || rank(candidate) < rank(best)) best = candidate;
    }
    if (best !== undefined) best.state = "active";
    return best;
  }

  /** It failed, and may be asked again later. */
  failed(candidate: Candidate, nowMs: number): void {
    candidate.attempts += 1;
    candidate.state = "idle";
    const longestMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (candidate.attempts - 1));
    candidate.dueAtMs = nowMs + 50 + this.#unit() * longestMs;
    if (candidate.origin !== "ticket" && candidate.attempts >= HEARSAY_ATTEMPTS_MAX)
      this.#all.delete(candidate.provider.id);
  }

  /** It was of no use for now, and others wait for its place. */
  rested(candidate: Candidate, nowMs: number): void {
    candidate.attempts += 1;
    candidate.state = "idle";
    candidate.dueAtMs = nowMs + REST_MS;
  }

  /** It lied, or will not have this peer; it is never asked again. */
  ban(candidate: Candidate): void {
    candidate.state = "banned";
  }

  /** Nobody is left who could be asked, now or later. */
  get isExhausted(): boolean {
    return [...this.#all.values()].every(({ state }) => state === "banned");
  }
}

/** Whether asking the same source again may help. A liar is not asked again, nor who says that this peer is not of the network. */
export function isPassing(error: PeerloomError): boolean {
  const isFinal = [
    "files/corrupt",
    "files/path-escape",
    "files/protocol",
    "files/changed",
    "wire/malformed",
    "wire/too-large",
  ].includes(error.code);
  return !isFinal && !putsOut(error);
}

function rank({ origin, attempts }: Candidate): number {
  return attempts * 3 + ["ticket", "record", "member"].indexOf(origin);
}
