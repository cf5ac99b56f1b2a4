/** A peer that wants to join and comes again as `Rendezvous` does: the same waits after a loss, the same patience with a socket. */
import { setTimeout as rest } from "node:timers/promises";
import { afterLoss, type RendezvousState } from "../../peer/overlay/rendezvous-state.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { JOIN_TIMEOUT_MS } from "../../shared/limits.ts";
import { Client, newKey } from "./client.ts";

/** Who is not in by then counts as kept out. */
export const HONEST_MS_MAX = 30_000;

/** One dial, and what came of it. */
export interface Try {
  /** Since the peer began, ms. */
  readonly atMs: number;
  readonly tookMs: number;
  /** `joined`, or how it was turned away. */
  readonly answer: string;
}

export interface HonestJoin {
  /** Until it was let in, ms; undefined: it was not within `HONEST_MS_MAX`. */
  readonly ms: number | undefined;
  readonly tries: readonly Try[];
}

/** Of one /24 for all honest peers. */
export function honestAddress(index: number): string {
  return `203.0.113.${index % 250}`;
}

/** @param index chooses its address */
export async function joinHonest(edge: string, network: string, index: number): Promise<HonestJoin> {
  const key = newKey();
  const startMs = performance.now();
  const tries: Try[] = [];
  let state: RendezvousState = { phase: "joining", attempt: 0 };
  for (;;) {
    const atMs = performance.now() - startMs;
    const at = { edge, network, address: honestAddress(index), key, patienceMs: JOIN_TIMEOUT_MS };
    const client = new Client(at);
    const isIn = await client.join().catch(() => false);
    client.close();
    const ms = performance.now() - startMs;
    const answer = isIn ? "joined" : client.refusal;
    tries.push({ atMs, tookMs: ms - atMs, answer });
    if (isIn) return { ms: ms <= HONEST_MS_MAX ? ms : undefined, tries };
    const next = afterLoss(
      state,
      {
        error: new PeerloomError("edge/unreachable", answer),
        nowMs: ms,
        everJoined: false,
        members: 0,
        tooSlow: client.closed === undefined,
      },
      { unit: Math.random },
    );
    if (next.phase === "stopped" || ms + next.delayMs > HONEST_MS_MAX) return { ms: undefined, tries };
    await rest(next.delayMs);
    state = { phase: "joining", attempt: next.attempt };
  }
}
