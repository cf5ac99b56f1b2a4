/** How long to wait before trying again: exponential with full jitter, so that those who lost an edge together come back apart. */
import type { Random } from "../runtime.ts";

/** The first wait is at most this; each failure doubles it. */
export const BACKOFF_FIRST_MS = 500;
/** No wait is longer. */
export const BACKOFF_MAX_MS = 60_000;

/** Other bounds than those of the rendezvous, where it is not the edge that is asked again. */
export interface BackoffBounds {
  readonly firstMs: number;
  readonly maxMs: number;
}

/**
 * Uniform between nothing and the bound of this attempt.
 * @param attempt failures in a row before this wait, from 0
 */
export function backoffMs(
  attempt: number,
  random: Pick<Random, "unit">,
  { firstMs, maxMs }: BackoffBounds = { firstMs: BACKOFF_FIRST_MS, maxMs: BACKOFF_MAX_MS },
): number {
  return random.unit() * Math.min(maxMs, firstMs * 2 ** attempt);
}
