/** What a lossy path does to packets that are sent again until they arrive. */
import type { Random } from "../../runtime.ts";

/** Nothing follows most messages, so their loss is noticed by the clock: a round trip and so much more, doubling (Linux' least RTO). */
const RETRANSMIT_MS = 200;

/** How much later than others a packet comes, ms; draws nothing where nothing is lost. */
export function lateByMs(random: Random, lossShare: number, oneWayMs: number): number {
  let lateMs = 0;
  if (lossShare === 0) return lateMs;
  for (let waitMs = RETRANSMIT_MS + 2 * oneWayMs; random.unit() < lossShare; waitMs *= 2) lateMs += waitMs;
  return lateMs;
}
