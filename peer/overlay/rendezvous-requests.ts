/**
 * Numbers what is asked of a rendezvous and finds the asker again. A signal has no answer when all is well, so the last
 * few are remembered only to tell whose target an `error` speaks of.
 */
import { PeerloomError } from "../../shared/errors.ts";
import type { PeerId } from "../../shared/ids.ts";
import type { FromRendezvous } from "../../shared/messages.ts";
import type { Clock } from "../runtime.ts";
import { waitWithin } from "../session/wait-within.ts";
import { abortError } from "./abort.ts";

/** An edge that has not answered by then is taken for one that does not. */
export const REQUEST_TIMEOUT_MS = 10_000;
/** Requests under way at once; past that they fail with `edge/rate-limited`, as the edge itself would have it. */
export const REQUESTS_PENDING_MAX = 256;
/** Signals whose error can still be assigned; past that the oldest is forgotten, and its dial runs into its deadline. */
export const SIGNALS_REMEMBERED_MAX = 512;

export type RendezvousAnswer = Extract<FromRendezvous, { kind: "relay-ready" | "found" }>;

interface Pending {
  readonly resolve: (answer: RendezvousAnswer) => void;
  readonly reject: (error: PeerloomError) => void;
}

const REQUEST_MAX = 0xffff_ffff;

export class RendezvousRequests {
  readonly #clock: Clock;
  readonly #pending = new Map<number, Pending>();
  readonly #signals = new Map<number, PeerId>();
  #last = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * @param send puts the request on the wire
   * @throws PeerloomError `edge/unreachable` (no answer, socket lost), `edge/rate-limited`, `aborted`, the edge's own
   */
  async ask(send: (request: number) => void, signal?: AbortSignal): Promise<RendezvousAnswer> {
    if (signal?.aborted) throw abortError(signal);
    if (this.#pending.size >= REQUESTS_PENDING_MAX) {
      throw new PeerloomError(
        "edge/rate-limited",
        `${REQUESTS_PENDING_MAX} requests to the edge are under way. Wait for some.`,
      );
    }
    const request = this.#next();
    const { promise, resolve, reject } = Promise.withResolvers<RendezvousAnswer>();
    const late = (): PeerloomError =>
      new PeerloomError(
        "edge/unreachable",
        `The edge did not answer within ${REQUEST_TIMEOUT_MS / 1000} s. Try again.`,
      );
    this.#pending.set(request, { resolve, reject });
    try {
      send(request);
      return await waitWithin(this.#clock, promise, REQUEST_TIMEOUT_MS, signal, late);
    } finally {
      this.#pending.delete(request);
    }
  }

  /** The number for a signal to `to`. */
  noteSignal(to: PeerId): number {
    const request = this.#next();
    this.#signals.set(request, to);
    if (this.#signals.size > SIGNALS_REMEMBERED_MAX)
      this.#signals.delete(this.#signals.keys().next().value as number);
    return request;
  }

  /** An answer that comes too late, or to nothing, is dropped. */
  answer(answer: RendezvousAnswer): void {
    this.#pending.get(answer.request)?.resolve(answer);
  }

  /** @returns the target when it was a signal that failed */
  fail(request: number, error: PeerloomError): PeerId | undefined {
    this.#pending.get(request)?.reject(error);
    const to = this.#signals.get(request);
    this.#signals.delete(request);
    return to;
  }

  /** The socket is gone, and with it every answer. */
  failAll(error: PeerloomError): void {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    this.#signals.clear();
  }

  /** Numbers come round again after 2^32; one still pending is passed over. */
  #next(): number {
    do {
      this.#last = this.#last === REQUEST_MAX ? 1 : this.#last + 1;
    } while (this.#pending.has(this.#last));
    return this.#last;
  }
}
