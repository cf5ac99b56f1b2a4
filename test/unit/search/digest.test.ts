import { describe, expect, test } from "vitest";
import { Digest, DIGEST_BYTES_MAX, DIGEST_WORDS_MAX } from "../../../peer/services/search/digest.ts";

const words = (count: number, prefix = "word"): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);

describe("a digest", () => {
  test("says of all its words that they may be there, and of others hardly ever", () => {
    for (const count of [1, 10, 100, 1_000, DIGEST_WORDS_MAX]) {
      const digest = Digest.of(words(count));
      expect(words(count).every((word) => digest.mayHave([word]))).toBe(true);
      const wrong = words(5_000, "other").filter((word) => digest.mayHave([word])).length;
      expect(wrong / 5_000, `${count} words`).toBeLessThan(0.02);
      expect(digest.mayHave(["word0", "elsewhere"])).toBe(false);
    }
  });

  test("is as small as its words allow, and never larger than its bound", () => {
    expect(Digest.of([]).bytes).toHaveLength(32);
    expect(Digest.of([]).isEmpty).toBe(true);
    expect(Digest.of(words(100)).bytes).toHaveLength(128);
    expect(Digest.of(words(100_000)).bytes).toHaveLength(DIGEST_BYTES_MAX);
  });

  test("is read as it was written; what would match everything, or has no proper size, is none", () => {
    const digest = Digest.of(words(DIGEST_WORDS_MAX));
    expect(Digest.read(digest.bytes)?.mayHave(["word7"])).toBe(true);
    expect(Digest.read(Digest.of(words(100_000)).bytes)).toBeDefined();
    for (const bytes of [0, 1, 31, 33, 96, 4_096].map((length) => new Uint8Array(length)))
      expect(Digest.read(bytes), String(bytes.length)).toBeUndefined();
    expect(Digest.read(new Uint8Array(64).fill(0xff))).toBeUndefined();
    expect(Digest.read(new Uint8Array(64).fill(0x7f))).toBeUndefined();
  });

  test("does not change with the bytes it was read from", () => {
    const bytes = Uint8Array.from(Digest.of(["cat"]).bytes);
    const digest = Digest.read(bytes);
    bytes.fill(0);
    expect(digest?.mayHave(["cat"])).toBe(true);
  });
});
