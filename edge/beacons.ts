/**
 * Whom a newcomer is told of: half near its overlay key, so that its first lookups have somewhere to start, the rest at
 * random, so that the network does not fall into neighbourhoods that know only themselves.
 */
import { BEACONS_MAX } from "../shared/limits.ts";
import { countOf, type Env } from "./env.ts";
import type { Member } from "./members.ts";

/** Beacons that a rendezvous asks to stay, unless configured otherwise. Newcomers are told at most `BEACONS_MAX`, so some may leave at any time. */
const BEACONS_KEPT_DEFAULT = 64;
const BEACONS_KEPT_MAX = 1_024;

export function beaconsKept(env: Env): number {
  return countOf(env.RENDEZVOUS_BEACONS, BEACONS_KEPT_DEFAULT, BEACONS_KEPT_MAX);
}

/** @param unit random in [0, 1) */
export function pickBeacons(candidates: readonly Member[], key: Uint8Array, unit: () => number): Member[] {
  const byDistance = candidates.toSorted((a, b) => compareDistance(a.key, b.key, key));
  const near = byDistance.slice(0, BEACONS_MAX / 2);
  const rest = byDistance.slice(near.length);
  const random: Member[] = [];
  while (rest.length > 0 && near.length + random.length < BEACONS_MAX) {
    const index = Math.floor(unit() * rest.length);
    random.push(...rest.splice(index, 1));
  }
  return [...near, ...random];
}

/** XOR metric: negative when `a` is nearer to `target` than `b`. */
function compareDistance(a: Uint8Array, b: Uint8Array, target: Uint8Array): number {
  for (let i = 0; i < target.length; i++) {
    const bit = target[i] as number;
    const difference = ((a[i] as number) ^ bit) - ((b[i] as number) ^ bit);
    if (difference !== 0) return difference;
  }
  return 0;
}
