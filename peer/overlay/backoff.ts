/** How long to wait before trying again, and spread over whom: those who began together should not go on together. */
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
 * Exponential with full jitter: uniform between nothing and the bound of this attempt.
 * @param attempt failures in a row before this wait, from 0
 */
export function backoffMs(
  attempt: number,
  random: Pick<Random, "unit">,
  { firstMs, maxMs }: BackoffBounds = { firstMs: BACKOFF_FIRST_MS, maxMs: BACKOFF_MAX_MS },
): number {
  return random.unit() * Math.min(maxMs, firstMs * 2 ** attempt);
}

/**
 * Regular work, moved by chance so that peers take turns.
 * @param share how far at most, either way @default a fifth
 */
export function spreadMs(ms: number, random: Pick<Random, "unit">, share = 0.2): number {
  return ms * (1 + share * (2 * random.unit() - 1));
}
