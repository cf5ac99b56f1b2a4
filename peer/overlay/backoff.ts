/** How long to wait before trying again: exponential with full jitter, so that those who lost an edge together come back apart. */
import type { Random } from "../runtime.ts";

/** The first wait is at most this; each failure doubles it. */
export const BACKOFF_FIRST_MS = 500;
/** No wait is longer. */
export const BACKOFF_MAX_MS = 60_000;

/**
 * Uniform between nothing and the bound of this attempt.
 * @param attempt failures in a row before this wait, from 0
 */
export function backoffMs(attempt: number, random: Pick<Random, "unit">): number {
  return random.unit() * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempt);
}
