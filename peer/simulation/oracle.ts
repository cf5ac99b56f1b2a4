/**
 * A network as it would stand after long quiet: every table filled by the rules with knowledge of everybody, all links made in one
 * instant. Saves simulated hours of joining; what the peers make of it afterwards is their own doing.
 */
import { type LinkBudget, SIBLINGS } from "../overlay/mesh/link-table.ts";
import { distance, KEY_BITS, sharedBits } from "../overlay/mesh/mesh-key.ts";
import { canLink, type SimPeer, type World } from "./world.ts";

/** Candidates compared by round trip (proximity neighbour selection). */
const COMPARED = 16;
const BEACONS = 48;

export function buildNetwork(world: World, count: number, budget: LinkBudget): void {
  for (let i = 0; i < count; i++) world.create();
  const sorted = [...world.alive].sort((a, b) => a.key - b.key);
  const ranks = new Map(sorted.map((peer, rank) => [peer, rank]));
  for (const peer of sorted)
    for (const sibling of siblingsOf(sorted, ranks.get(peer) as number)) world.connect(peer, sibling);
  const shuffled = shuffle([...sorted], () => world.random.unit());
  for (const peer of shuffled) fillBuckets(world, sorted, peer, budget);
  world.beacons.push(...shuffled.slice(0, BEACONS));
}

/** In XOR the closest share the longest prefix, and those lie together among the sorted. */
function siblingsOf(sorted: readonly SimPeer[], rank: number): SimPeer[] {
  const peer = sorted[rank] as SimPeer;
  const near = sorted.slice(Math.max(rank - 64, 0), rank + 65).filter((one) => one !== peer);
  return near.sort((a, b) => distance(a.key, peer.key) - distance(b.key, peer.key)).slice(0, SIBLINGS);
}

function fillBuckets(world: World, sorted: readonly SimPeer[], peer: SimPeer, budget: LinkBudget): void {
  const siblings = [...peer.links.keys()].map((key) => distance(key, peer.key)).sort((a, b) => a - b);
  const last = siblings[SIBLINGS - 1] ?? siblings.at(-1) ?? 1;
  const deepest = Math.max(KEY_BITS - Math.ceil(Math.log2(last + 1)), 0);
  const spread = budget.target - SIBLINGS;
  const each = Math.max(Math.floor(spread / (deepest + 1)), 1);
  const extra = Math.max(spread - each * (deepest + 1), 0);
  for (let bucket = 0; bucket <= deepest; bucket++) {
    const wanted = each + (bucket < extra ? 1 : 0);
    let have = 0;
    for (const key of peer.links.keys()) if (sharedBits(key, peer.key) === bucket) have += 1;
    for (; have < wanted; have++) {
      const best = nearest(world, sorted, peer, bucket, have % 4, budget);
      if (best === undefined) break;
      world.connect(peer, best);
    }
  }
}

/** The nearest in time of a few from one quarter of the bucket. */
function nearest(
  world: World,
  sorted: readonly SimPeer[],
  peer: SimPeer,
  bucket: number,
  quarter: number,
  budget: LinkBudget,
): SimPeer | undefined {
  const width = 2 ** (KEY_BITS - bucket - 1);
  const start =
    Math.floor(peer.key / width) % 2 === 0
      ? (Math.floor(peer.key / width) + 1) * width
      : (Math.floor(peer.key / width) - 1) * width;
  const [from, to] = [start + (width / 4) * quarter, start + (width / 4) * (quarter + 1)];
  const first = lowerBound(sorted, from);
  const count = lowerBound(sorted, to) - first;
  let best: SimPeer | undefined;
  for (let i = 0; i < Math.min(count, COMPARED); i++) {
    const candidate = sorted[first + Math.floor(world.random.unit() * count)] as SimPeer;
    if (candidate === peer || peer.links.has(candidate.key) || candidate.links.size >= budget.max) continue;
    if (!canLink(peer, candidate)) continue;
    if (best === undefined || world.rttMs(peer, candidate) < world.rttMs(peer, best)) best = candidate;
  }
  return best;
}

function lowerBound(sorted: readonly SimPeer[], key: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as SimPeer).key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function shuffle<T>(items: T[], unit: () => number): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(unit() * (i + 1));
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
  return items;
}
