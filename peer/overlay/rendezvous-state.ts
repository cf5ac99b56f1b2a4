/**
 * Where a peer stands with its rendezvous, and what follows from a loss. Pure: rendezvous.ts acts on it.
 */
import type { ErrorCode, PeerloomError } from "../../shared/errors.ts";
import type { FromRendezvous } from "../../shared/messages.ts";
import type { Random } from "../runtime.ts";
import { BACKOFF_FIRST_MS, backoffMs } from "./backoff.ts";

/** What the edge says to a newcomer it accepts. */
export type Welcome = Extract<FromRendezvous, { kind: "joined" }>;

export type RendezvousState =
  /** Not opened yet. */
  | { readonly phase: "idle" }
  /** A socket is being made. `attempt` counts the failures in a row before it. */
  | { readonly phase: "joining"; readonly attempt: number }
  | {
      readonly phase: "joined";
      readonly attempt: number;
      readonly sinceMs: number;
      readonly welcome: Welcome;
    }
  /** Tries again after `delayMs`. */
  | {
      readonly phase: "waiting";
      readonly attempt: number;
      readonly delayMs: number;
      readonly error: PeerloomError;
    }
  /** Left because nobody needs it; joined again when somebody does. */
  | { readonly phase: "released" }
  /** Trying again would not help: somebody must act on `error`. */
  | { readonly phase: "stopped"; readonly error: PeerloomError }
  | { readonly phase: "closed" };

/** Who was joined for this long is healthy: the next loss starts with a short wait again. */
export const HEALTHY_AFTER_MS = 60_000;

/** When a closed edge opens again, those who wait for it come back over this time. */
export const CLOSED_SPREAD_MS = 600_000;

/** What the same peer, asking again in the same way, would be told again. */
const INCURABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "wire/version",
  "edge/replaced",
  "network/invalid-name",
  "id/invalid",
  "network/not-member",
  "network/invite-used",
  "network/expired",
  "network/banned",
]);

/** Who was let in before is told this for good. */
export function isIncurable(code: ErrorCode): boolean {
  return INCURABLE.has(code);
}

/**
 * Incurable at the first join: a wrong clock, or an edge that knows itself under another origin. Who was let in before
 * has neither; it was too slow to answer, as after a sleep in the middle of a join.
 */
const INCURABLE_AT_FIRST: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["edge/challenge-failed"]);

/**
 * A deploy, an eviction or a crash drops all sockets of an edge at once. As many as were there when this peer joined come back over so
 * long, each at a random time of it, that about this many come in a second; who then finds the edge away comes again after about as long, so that
 * as few come in every later second. One of a few is back in half a second as ever.
 */
export const RETURNS_PER_SECOND = 50;
/** However many there are, so that everybody is back within a minute. The largest rendezvous then sees 700 joins a second, of 1,000 it can take. */
export const RETURN_SPREAD_MS_MAX = 30_000;
/** A second try of those who came together would be together too, if not for this much either way. */
const AGAIN_JITTER = 0.25;
/** An edge that is there and does not get round to a peer has too much to do: the waits double with each such try, up to this. */
export const OVERLOADED_WAIT_MS_MAX = 240_000;

export interface Loss {
  readonly error: PeerloomError;
  readonly nowMs: number;
  /** The edge has let this peer in at least once. */
  readonly everJoined: boolean;
  /** ms for which the edge has said that it takes nobody. @default 0 */
  readonly closedMs?: number;
  /** Members that the edge told of when it last let this peer in. */
  readonly members: number;
  /** The edge took the dial and did not get round to it in time. @default false */
  readonly tooSlow?: boolean;
}

/** The state after a socket ended. */
export function afterLoss(
  state: RendezvousState,
  { error, nowMs, everJoined, members, closedMs = 0, tooSlow = false }: Loss,
  random: Pick<Random, "unit">,
): Extract<RendezvousState, { phase: "waiting" | "stopped" }> {
  if (isIncurable(error.code) || (!everJoined && INCURABLE_AT_FIRST.has(error.code)))
    return { phase: "stopped", error };
  const healthy = state.phase === "joined" && nowMs - state.sinceMs >= HEALTHY_AFTER_MS;
  const attempt = healthy || !("attempt" in state) ? 0 : state.attempt;
  const spreadMs = Math.min(RETURN_SPREAD_MS_MAX, (members / RETURNS_PER_SECOND) * 1000);
  let delayMs = random.unit() * spreadMs;
  if (error.code === "edge/over-budget") delayMs = closedMs + random.unit() * CLOSED_SPREAD_MS;
  else if (tooSlow || INCURABLE_AT_FIRST.has(error.code)) {
    const firstMs = Math.max(BACKOFF_FIRST_MS, spreadMs);
    delayMs = backoffMs(attempt, random, { firstMs, maxMs: OVERLOADED_WAIT_MS_MAX });
  } else if (spreadMs <= BACKOFF_FIRST_MS * 2 ** attempt) delayMs = backoffMs(attempt, random);
  // Who was spread over a time keeps its place: coming again after that time it meets nobody who has yet to come the first time.
  else if (state.phase === "joining" && attempt > 0)
    delayMs = spreadMs + AGAIN_JITTER * (2 * delayMs - spreadMs);
  return { phase: "waiting", attempt: attempt + 1, delayMs, error };
}
