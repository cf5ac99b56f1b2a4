import fc from "fast-check";
import { expect, test } from "vitest";
import { isWord, WORD_CHARACTERS_MAX, wordsOf } from "../../../shared/words.ts";

const cases: Record<string, readonly string[]> = {
  "Cat_Video (2024).MP4": ["cat", "video", "2024", "mp4"],
  "straße STRASSE Straẞe": ["strasse"],
  "ΟΔΟΣ οδος Οδός": ["οδοσ", "οδόσ"],
  "ﬁle ｆｕｌｌ ①": ["file", "full", "1"],
  "e\u0301te\u0301 été": ["été"],
  "हिन्दी फ़िल्म": ["हिन्दी", "फ़िल्म".normalize("NFKC")],
  "日本語.txt": ["日本語", "txt"],
  "…-_—()💥": [],
  "\u0301alone": ["alone"],
  'a"b* -c ^d:e\0f': ["a", "b", "c", "d", "e", "f"],
};

test.each(Object.entries(cases))("%j", (text, words) => expect(wordsOf(text, 64)).toEqual(words));

test("are bounded in number, in length and each there once", () => {
  expect(wordsOf("a b a c d", 3)).toEqual(["a", "b", "c"]);
  const [long] = wordsOf("𝒳".repeat(100) + "é".repeat(100), 2);
  expect(Array.from(long ?? "")).toHaveLength(WORD_CHARACTERS_MAX);
  expect(wordsOf("é".repeat(100), 2)).toEqual(wordsOf("é".repeat(WORD_CHARACTERS_MAX), 2));
  expect(wordsOf("x ".repeat(1_000_000), 64)).toEqual(["x"]);
});

test("of words are the same words, whatever the text was", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      const words = wordsOf(text, 64);
      expect(words.every(isWord)).toBe(true);
      expect(wordsOf(words.join(" "), 64)).toEqual(words);
      expect(new Set(wordsOf(text.normalize("NFKD"), 64))).toEqual(new Set(words));
    }),
  );
  for (const text of ["", "a b", "A", "a-", "é".normalize("NFD"), "x".repeat(33)])
    expect(isWord(text)).toBe(false);
});
