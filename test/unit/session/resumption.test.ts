import { beforeEach, expect, test } from "vitest";
import { AWAY_MS, RESUME_MS, Resumption } from "../../../peer/session/resumption.ts";

let resumption: Resumption;
beforeEach(() => {
  resumption = new Resumption();
  resumption.pathLost(1_000, 500);
});

test("a session without a path is away after a minute, told once, and lost after a quarter of an hour", () => {
  expect(resumption.step(1_000 + AWAY_MS, 0)).toBeUndefined();
  expect(resumption.step(1_001 + AWAY_MS, 0)).toBe("away");
  expect(resumption.isAway).toBe(true);
  expect(resumption.step(1_000 + RESUME_MS, 0)).toBeUndefined();
  expect(resumption.step(1_001 + RESUME_MS, 0)).toBe("lost");
});

test("its time runs from the first of two losses, and anew after a path", () => {
  expect(resumption.pathLost(9_000, 500)).toBe(false);
  expect(resumption.pathlessSinceMs).toBe(1_000);
  resumption.step(2_000 + AWAY_MS, 0);
  resumption.pathFound();
  expect([resumption.pathlessSinceMs, resumption.isAway]).toEqual([undefined, false]);
  expect(resumption.pathLost(90_000, 500)).toBe(true);
  expect(resumption.step(90_000 + AWAY_MS, 0)).toBeUndefined();
});

test("what this side sleeps does not count, and never reaches into the future", () => {
  expect(resumption.step(1_000 + 2 * RESUME_MS, 2 * RESUME_MS)).toBeUndefined();
  expect(resumption.pathlessSinceMs).toBe(1_000 + 2 * RESUME_MS);
  expect(resumption.step(1_100 + 2 * RESUME_MS, RESUME_MS)).toBeUndefined();
  expect(resumption.pathlessSinceMs).toBe(1_100 + 2 * RESUME_MS);
});

test("only more than was held before is news", () => {
  expect([500, 501, 501, 400, 502].map((bytes) => resumption.holds(bytes))).toEqual([
    false,
    true,
    false,
    false,
    true,
  ]);
});
