/** Lookups in the overlay as `peerloom sim` measures them, small. */
import { describe, expect, test } from "vitest";
import { runExperiment } from "../../peer/simulation/experiment.ts";

const SMALL = { nodes: 200, seed: 7, lookups: 400, durationMs: 10_000 } as const;

describe("lookups", () => {
  test(
    "arrive at the first try, by few hops, and the same seed gives the same run",
    { timeout: 180_000 },
    () => {
      const first = runExperiment(SMALL);
      expect(first.lookups).toMatchObject({ firstTry: 1, success: 1, root: 1 });
      expect(first.lookups.hopsMean).toBeLessThan(2.6);
      expect(runExperiment(SMALL)).toEqual(first);
      expect(runExperiment({ ...SMALL, seed: 8 }).lookups).not.toEqual(first.lookups);
    },
  );

  test("arrive with half of all peers dead at one instant", { timeout: 180_000 }, () => {
    const { lookups } = runExperiment({ ...SMALL, kill: 0.5 });
    expect(lookups.success).toBeGreaterThanOrEqual(0.999);
  });

  test(
    "arrive where a fifth of all drops, denies, misroutes or answers for others",
    { timeout: 180_000 },
    () => {
      const { lookups, records } = runExperiment({ ...SMALL, malicious: 0.2, records: 100 });
      expect(lookups.success).toBeGreaterThanOrEqual(0.99);
      expect(lookups.closestEight).toBeGreaterThanOrEqual(0.99);
      expect(records).toMatchObject({ count: 100, stored: 1 });
      expect(records.found).toBeGreaterThanOrEqual(0.99);
    },
  );

  test(
    "arrive while peers come and go, and newcomers touch the edge a dozen times at most",
    { timeout: 180_000 },
    () => {
      const { lookups, join, edgeMessagesPerPeerHour } = runExperiment({
        ...SMALL,
        churnMsMedian: 120_000,
        durationMs: 30_000,
      });
      expect(lookups.success).toBeGreaterThanOrEqual(0.995);
      expect(join.count).toBeGreaterThan(0);
      expect(join.edgeMessages).toBeLessThanOrEqual(12);
      expect(edgeMessagesPerPeerHour).toBe(0);
    },
  );
});
