import { expect, test } from "vitest";
import { type Comparison, GOOD_MS, Standing, WORSE_MS } from "../../../peer/session/standing.ts";

const beside = (rttMs: number, otherRttMs: number, isOtherCostly = false): Comparison => ({
  rttMs,
  otherRttMs,
  isOtherCostly,
});
const GOOD = beside(50, 50);
const BAD = beside(500, 50);

/** Compares once in 100 ms. @returns how long it took to change, or undefined */
function changesAfter(
  standing: Standing,
  comparison: Comparison,
  fromMs: number,
  forMs: number,
): number | undefined {
  const before = standing.isDemoted;
  for (let ms = 0; ms <= forMs; ms += 100) {
    standing.compare(comparison, fromMs + ms);
    if (standing.isDemoted !== before) return ms;
  }
  return undefined;
}

test("a path that is clearly worse for three seconds is put back; one that is a little worse never is", () => {
  expect(changesAfter(new Standing(), BAD, 0, 60_000)).toBe(WORSE_MS);
  expect(changesAfter(new Standing(), beside(200, 50), 0, 60_000)).toBeUndefined();
  expect(changesAfter(new Standing(), beside(30, 1), 0, 60_000)).toBeUndefined();
});

test("for a path that costs others it must be far worse", () => {
  expect(changesAfter(new Standing(), beside(590, 50, true), 0, 60_000)).toBeUndefined();
  expect(changesAfter(new Standing(), beside(610, 50, true), 0, 60_000)).toBe(WORSE_MS);
});

test("a moment in which it was not worse begins the time anew", () => {
  const standing = new Standing();
  expect(changesAfter(standing, BAD, 0, WORSE_MS - 100)).toBeUndefined();
  standing.compare(GOOD, WORSE_MS);
  expect(changesAfter(standing, BAD, WORSE_MS + 100, WORSE_MS - 100)).toBeUndefined();
  standing.compare(undefined, 2 * WORSE_MS + 100);
  expect(changesAfter(standing, BAD, 2 * WORSE_MS + 200, 60_000)).toBe(WORSE_MS);
});

test("it comes back when it has been as good for a while, after each fall twice as long", () => {
  const standing = new Standing();
  let nowMs = 0;
  for (const fall of [0, 1, 2]) {
    nowMs += changesAfter(standing, BAD, nowMs, 60_000) ?? Number.NaN;
    expect(changesAfter(standing, beside(150, 50), nowMs, 60_000)).toBeUndefined();
    nowMs += 60_100;
    const backMs = changesAfter(standing, GOOD, nowMs, 60_000);
    expect(backMs).toBe(GOOD_MS * 2 ** fall);
    nowMs += backMs! + 100;
  }
});
