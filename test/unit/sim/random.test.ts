import { expect, test } from "vitest";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";

test("a seed repeats its run, another seed does not", () => {
  const draw = (seed: number | string): number[] => {
    const random = seededRandom(seed);
    return Array.from({ length: 20 }, () => random.uint32());
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  expect(draw("a")).not.toEqual(draw("b"));
});

test("units lie in [0, 1) and spread evenly", () => {
  const random = seededRandom(1);
  const tenths = Array.from({ length: 10 }, () => 0);
  for (let i = 0; i < 20_000; i++) tenths[Math.floor(random.unit() * 10)]! += 1;
  for (const count of tenths) expect(count).toBeGreaterThan(1_800);
  expect(tenths.reduce((a, b) => a + b)).toBe(20_000);
});

test("integers reach both ends and nothing beyond", () => {
  const random = seededRandom(2);
  const seen = new Set(Array.from({ length: 500 }, () => random.integer(-2, 3)));
  expect([...seen].toSorted((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2, 3]);
});

test("bytes have the length asked for, whatever it is", () => {
  const random = seededRandom(3);
  for (const length of [0, 1, 3, 4, 5, 33]) expect(random.bytes(length)).toHaveLength(length);
  expect(new Set(random.bytes(4_096)).size).toBe(256);
});

test("a fork is not moved by its parent's draws", () => {
  const one = seededRandom(4);
  one.bytes(100);
  expect(one.fork("links").uint32()).toBe(seededRandom(4).fork("links").uint32());
  expect(one.fork("links").uint32()).not.toBe(one.fork("disks").uint32());
});
