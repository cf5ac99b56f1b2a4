/**
 * Several addresses of one peer, dialled as RFC 8305 (Happy Eyeballs 2) says: IPv6 first, the families in turn, the next one as soon as the
 * last has failed or has been silent for a moment, and the first that answers is taken. So an address that is dead costs a
 * quarter of a second and not its time-out.
 */
import { PeerloomError } from "../../shared/errors.ts";
import type { Clock } from "../runtime.ts";
import type { Address } from "./address.ts";
import type { Link } from "./link.ts";

/** RFC 8305 §5, Connection Attempt Delay. */
export const ATTEMPT_DELAY_MS = 250;

/** IPv6 first, then the families in turn (RFC 8305 §4); within one as they were told. A name may be either, and counts as IPv6. */
export function dialOrder<T extends { readonly address: Address }>(addresses: readonly T[]): T[] {
  const ipv4 = addresses.filter(({ address }) => isIpv4(address));
  const others = addresses.filter(({ address }) => !isIpv4(address));
  const turns = Math.max(ipv4.length, others.length);
  return Array.from({ length: turns }, (_, i) => [...others.slice(i, i + 1), ...ipv4.slice(i, i + 1)]).flat();
}

/**
 * The first link that stands. What stands later is closed; what is still under way is aborted.
 * @throws PeerloomError `link/unavailable` when there is nothing to dial, the signal's reason, else the last failure
 */
export async function dialFirst<T>(
  targets: readonly T[],
  dial: (target: T, signal: AbortSignal) => Promise<Link>,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<Link> {
  signal.throwIfAborted();
  const over = new AbortController();
  const within = AbortSignal.any([signal, over.signal]);
  let failure: unknown = new PeerloomError("link/unavailable", "There is no address to dial.");
  const won = Promise.withResolvers<Link>();
  let winner: Link | undefined;
  const attempt = async (target: T): Promise<void> => {
    try {
      const link = await dial(target, within);
      if (winner !== undefined || within.aborted) return link.destroy();
      winner = link;
      won.resolve(link);
    } catch (error) {
      failure = error;
    }
  };
  const attempts: Promise<void>[] = [];
  const abort = (): void => won.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  const all = async (): Promise<void> => {
    for (const [i, target] of targets.entries()) {
      if (winner !== undefined || signal.aborted) return;
      const begun = attempt(target);
      attempts.push(begun);
      if (i + 1 < targets.length) await settledOr(begun, clock, ATTEMPT_DELAY_MS);
    }
    await Promise.all(attempts);
    won.reject(failure);
  };
  void all();
  try {
    return await won.promise;
  } finally {
    signal.removeEventListener("abort", abort);
    over.abort(new PeerloomError("aborted", "Another address answered first."));
  }
}

/** Resolves when the promise has, and at the latest after so long. */
async function settledOr(promise: Promise<void>, clock: Clock, delayMs: number): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = clock.setTimer(delayMs, resolve);
  await Promise.race([promise, late]);
  timer.cancel();
}

function isIpv4(address: Address): boolean {
  const host = address.scheme === "tcp" ? address.host : new URL(address.url).hostname;
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(host);
}
