/**
 * The routing rule. Each neighbour is judged by the best peer that it reaches in one more step (Manku, Naor and Wieder: "Know thy
 * neighbor's neighbor", STOC 2004), in time and not only in distance, which Kademlia's freedom of choice allows (Gummadi et al.,
 * SIGCOMM 2003). The best distance counted on travels with the request as a promise that the next hop must keep or
 * beat: without it requests wander among peers that all count on the same third.
 */
import { distance, highBits, KEY_BITS, type MeshKey } from "./mesh-key.ts";
import type { Neighbour } from "./neighbour.ts";

/** What a halving of the distance still to go is worth, ms. Tried in the simulator (80 ms median round trip): 14 takes more steps, 23 longer ones. */
const MS_PER_BIT = 18;
const WORD: number = 2 ** 32;
/** No distance is as large: any hop may promise. */
export const UNBOUNDED: number = 2 ** KEY_BITS;

export interface RouteQuestion {
  readonly own: MeshKey;
  readonly target: MeshKey;
  /** Only who is closer to the target counts. */
  readonly below: number;
  /** Must not be stepped on again. */
  readonly path: readonly MeshKey[];
  readonly dead: readonly MeshKey[];
  readonly promise: number;
  readonly greedy: boolean;
  /** First hops to avoid besides: other copies of the request take them. */
  avoid?(neighbour: Neighbour): boolean;
}

export interface RouteChoice {
  readonly neighbour: Neighbour;
  /** Distance to the target that this choice counts on. */
  readonly promise: number;
}

/** The neighbour to hand a request to, or undefined when nobody known is closer. */
export function chooseHop(neighbours: Iterable<Neighbour>, question: RouteQuestion): RouteChoice | undefined {
  return question.greedy ? closestHop(neighbours, question, question.below) : lookAhead(neighbours, question);
}

/** The neighbour closest to the target, when that is closer than `below`. */
export function closestHop(
  neighbours: Iterable<Neighbour>,
  { target, dead, avoid }: Pick<RouteQuestion, "target" | "dead" | "avoid">,
  below: number,
  path: readonly MeshKey[] = [],
): RouteChoice | undefined {
  let best: Neighbour | undefined;
  let bestDistance = below;
  for (const neighbour of neighbours) {
    const away = distance(neighbour.key, target);
    if (away >= bestDistance || isOut(neighbour, dead, avoid) || path.includes(neighbour.key)) continue;
    best = neighbour;
    bestDistance = away;
  }
  return best === undefined ? undefined : { neighbour: best, promise: bestDistance };
}

function lookAhead(neighbours: Iterable<Neighbour>, question: RouteQuestion): RouteChoice | undefined {
  const { own, target, below, path, dead, promise, avoid } = question;
  let limit = Math.min(below, promise);
  for (const step of path) limit = Math.min(limit, distance(step, target));
  const closed = new Set([...path, ...dead, own]);
  const targetHigh = highBits(target);
  const targetLow = target | 0;
  let best: Neighbour | undefined;
  let bestCost = Number.POSITIVE_INFINITY;
  let bestPromise = 0;
  for (const neighbour of neighbours) {
    if (isOut(neighbour, dead, avoid) || closed.has(neighbour.key)) continue;
    let away = distance(neighbour.key, target);
    const { digest } = neighbour;
    const { keys } = digest;
    let through = -1;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as MeshKey;
      const farHigh = highBits(key) ^ targetHigh;
      // Most entries lose by their upper bits alone.
      if (farHigh * WORD >= away) continue;
      const far = farHigh * WORD + ((key ^ targetLow) >>> 0);
      if (far >= away || closed.has(key)) continue;
      away = far;
      through = i;
    }
    // The peer that was promised need not promise more.
    const keeps = away < limit || (away === limit && distance(neighbour.key, target) === promise);
    if (!keeps) continue;
    const onwardMs = through < 0 ? 0 : digest.rttMs(through);
    const cost = neighbour.rttMs + onwardMs + MS_PER_BIT * Math.log2(away + 1);
    if (cost < bestCost) {
      best = neighbour;
      bestCost = cost;
      bestPromise = away;
    }
  }
  return best === undefined ? undefined : { neighbour: best, promise: bestPromise };
}

function isOut(neighbour: Neighbour, dead: readonly MeshKey[], avoid: RouteQuestion["avoid"]): boolean {
  return neighbour.isSuspect || dead.includes(neighbour.key) || avoid?.(neighbour) === true;
}
