import { expect, test } from "vitest";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import { Arrivals } from "../../../peer/overlay/mesh/arrivals.ts";

test("what waits for a peer goes on once: when it comes, or when it is late", () => {
  const clock = new SyncClock();
  const arrivals = new Arrivals(clock);
  const went: string[] = [];
  arrivals.expect(1);
  arrivals.expect(2);
  expect(arrivals.wait(1, () => went.push("first"))).toBe(true);
  expect(arrivals.wait(2, () => went.push("second"))).toBe(true);
  expect(arrivals.wait(3, () => went.push("third"))).toBe(false);
  arrivals.ended(1);
  clock.advance(1_000);
  // Expected again, it is not waited for longer.
  arrivals.expect(2);
  clock.advance(1_000);
  expect(went).toEqual(["first", "second"]);
  clock.advance(10_000);
  expect(went).toHaveLength(2);
});

test("few are expected, few wait for each, and none after the end", () => {
  const clock = new SyncClock();
  const arrivals = new Arrivals(clock);
  const went: number[] = [];
  for (let key = 0; key < 64; key++) arrivals.expect(key);
  expect(arrivals.wait(0, () => went.push(0))).toBe(true);
  arrivals.expect(64);
  expect(went).toEqual([0]);
  const taken = Array.from({ length: 20 }, (_, i) => arrivals.wait(1, () => went.push(i)));
  expect(taken.filter(Boolean)).toHaveLength(16);
  arrivals.close();
  clock.advance(10_000);
  expect(went).toEqual([0]);
  expect(arrivals.wait(2, () => {})).toBe(false);
});
