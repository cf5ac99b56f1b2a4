/** A neighbour's table in columns: what goes in comes out, however much of it there is. */
import { expect, test } from "vitest";
import { Digest, DIGEST_ENTRIES_MAX, type DigestEntry } from "../../../peer/overlay/mesh/digest.ts";

function entry(i: number): DigestEntry {
  return { key: i * 2 ** 40 + i, rttMs: 10 + i, x: i, y: -i, height: 2 * i };
}

test("entries keep their columns while it grows to its bound, and past that none is taken", () => {
  const digest = new Digest();
  for (let i = 1; i <= DIGEST_ENTRIES_MAX; i++) expect(digest.set(entry(i))).toBe(true);
  expect(digest.set(entry(DIGEST_ENTRIES_MAX + 1))).toBe(false);
  expect(digest.size).toBe(DIGEST_ENTRIES_MAX);
  for (let i = 1; i <= DIGEST_ENTRIES_MAX; i++) {
    const { key, rttMs, x, y, height } = entry(i);
    expect(digest.keys[i - 1]).toBe(key);
    expect(digest.rttMs(i - 1)).toBe(rttMs);
    expect(digest.coordinate(i - 1)).toEqual({ x, y, height });
  }
});

test("one that is known is replaced, one that goes makes room, and an empty one knows nobody", () => {
  const digest = new Digest();
  expect(digest.has(entry(1).key)).toBe(false);
  expect(digest.delete(entry(1).key)).toBe(false);
  for (const i of [1, 2, 3]) digest.set(entry(i));
  expect(digest.set({ ...entry(2), rttMs: 99 })).toBe(false);
  expect(digest.delete(entry(1).key)).toBe(true);
  expect(digest.size).toBe(2);
  const rtts = new Map([0, 1].map((at) => [digest.keys[at], digest.rttMs(at)]));
  expect(rtts).toEqual(
    new Map([
      [entry(2).key, 99],
      [entry(3).key, 13],
    ]),
  );
});

test("round trips past 16 s and coordinates past 4 s, which are lies, are told as the farthest there is", () => {
  const digest = new Digest();
  digest.set({ key: 1, rttMs: 65_535, x: -10_000, y: 10_000, height: 10_000 });
  digest.set({ key: 2, rttMs: 16_383, x: -4_096, y: 4_095, height: 4_095 });
  for (const i of [0, 1]) {
    expect(digest.rttMs(i)).toBe(16_383);
    expect(digest.coordinate(i)).toEqual({ x: -4_096, y: 4_095, height: 4_095 });
  }
});
