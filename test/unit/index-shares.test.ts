/** A full index: the prefix that has most makes room, and only for one that would have less. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Claim, IndexShares } from "../../edge/index-shares.ts";

const claim = (change: Partial<Claim>): Claim => ({
  prefix: "new",
  listings: 1,
  replaced: undefined,
  ...change,
});

test("until it is full nobody makes room; then who has most does, but not for as much as it has itself", () => {
  const shares = new IndexShares(100);
  shares.add("many", 60);
  shares.add("few", 39);
  expect(shares.excess(claim({}))).toBe(0);
  expect([shares.excess(claim({ listings: 11 })), shares.whoMakesRoom(claim({ listings: 11 }))]).toEqual([
    10,
    "many",
  ]);
  expect(shares.whoMakesRoom(claim({ listings: 60 }))).toBeUndefined();
  expect(shares.whoMakesRoom(claim({ prefix: "many", listings: 2 }))).toBeUndefined();
  const replaced = { prefix: "few", listings: 9 };
  expect(shares.excess(claim({ prefix: "few", listings: 12, replaced }))).toBe(2);
  expect(shares.whoMakesRoom(claim({ prefix: "few", listings: 12, replaced }))).toBe("many");
});

test("however many fill it, a newcomer with a few listings finds room", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 40 }), (weights) => {
      const shares = new IndexShares(20_000);
      const sum = weights.reduce((a, b) => a + b, 0);
      let left = 20_000;
      for (const [index, weight] of weights.entries()) {
        const listings = index === weights.length - 1 ? left : Math.floor((20_000 * weight) / sum);
        left -= listings;
        shares.add(`p${index}`, listings);
      }
      expect(shares.whoMakesRoom(claim({ listings: 128 }))).toBeDefined();
    }),
  );
});
