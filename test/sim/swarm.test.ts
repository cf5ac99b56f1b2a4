/** How long a swarm takes when only its choices count: beside the least time that its uploads allow. */
import { expect, test } from "vitest";
import { runSwarm, type SwarmWorld } from "./swarm.ts";

const CHUNK_BYTES = 262_144;
const eight = (limit: number): number[] => Array.from({ length: 8 }, () => limit);

interface Claim {
  readonly world: Omit<SwarmWorld, "seed">;
  readonly leastSeconds: number;
  readonly ratioMax: number;
}

const secondsOf = (chunks: number, bytesPerSecond: number): number => (chunks * CHUNK_BYTES) / bytesPerSecond;

test.each<[string, Claim]>([
  [
    "one to eight, all as slow as the source",
    {
      world: { sources: [4e6], getters: eight(4e6), chunks: 256, delayMs: 5 },
      leastSeconds: secondsOf(256, 4e6),
      ratioMax: 1.12,
    },
  ],
  [
    "one to eight, far away",
    {
      world: { sources: [4e6], getters: eight(8e6), chunks: 256, delayMs: 100 },
      leastSeconds: secondsOf(256, 4e6),
      ratioMax: 1.12,
    },
  ],
  [
    "four to one",
    {
      world: { sources: [20e6, 20e6, 20e6, 20e6], getters: [1e6], chunks: 1_024, delayMs: 5 },
      leastSeconds: secondsOf(1_024, 80e6),
      ratioMax: 1.05,
    },
  ],
  [
    "four of unlike speed to one",
    {
      world: { sources: [40e6, 20e6, 5e6, 1e6], getters: [1e6], chunks: 1_024, delayMs: 20 },
      leastSeconds: secondsOf(1_024, 66e6),
      ratioMax: 1.08,
    },
  ],
])("%s", async (_, { world, leastSeconds, ratioMax }) => {
  for (const seed of [1, 2, 3]) {
    const { lastMs, givenBySources, vainShare } = await runSwarm({ ...world, seed });
    expect(lastMs / 1000 / leastSeconds).toBeLessThan(ratioMax);
    expect(givenBySources / world.chunks).toBeLessThan(1.1);
    expect(vainShare).toBeLessThan(0.02);
  }
});
