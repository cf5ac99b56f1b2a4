import fc from "fast-check";
import { expect, test } from "vitest";
import { distance, KEY_BITS, meshKeyOf, sharedBits } from "../../../peer/overlay/mesh/mesh-key.ts";

const key = fc.integer({ min: 0, max: 2 ** 52 - 1 });

test("a key is the first 52 bits of the hash", () => {
  const hash = Uint8Array.of(0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xff);
  expect(meshKeyOf(hash)).toBe(0x123456789abcd);
  expect(meshKeyOf(new Uint8Array(32).fill(0xff))).toBe(2 ** 52 - 1);
});

test("distance and shared bits are those of whole numbers", () => {
  fc.assert(
    fc.property(key, key, (a, b) => {
      const exact = BigInt(a) ^ BigInt(b);
      expect(distance(a, b)).toBe(Number(exact));
      const bits = exact === 0n ? KEY_BITS : KEY_BITS - exact.toString(2).length;
      expect(sharedBits(a, b)).toBe(bits);
      expect(distance(b, a)).toBe(distance(a, b));
    }),
  );
});
