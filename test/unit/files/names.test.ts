/** Names from strangers: what may become a path here, and what may not on any system. */
import { expect, test } from "vitest";
import { checkName, checkPaths, PATH_SEGMENTS_MAX } from "../../../peer/services/files/names.ts";

test.each(["a", "film.mkv", "Übung 1.txt", "日本語", ".hidden", "a..b", "com10", "con-fig", "x".repeat(255)])(
  "%j is sound",
  (name) => {
    expect(() => checkName(name)).not.toThrow();
  },
);

test.each([
  "",
  ".",
  "..",
  "a/b",
  "a\\b",
  "/etc",
  "C:",
  "a:b",
  "a\0b",
  "a\nb",
  "a\u202Egpj.exe",
  "a.",
  "a ",
  "CON",
  "nul.txt",
  "COM1",
  "lpt9.log",
  "what?",
  "a*b",
  'a"b',
  "a|b",
  "x".repeat(256),
  "é".repeat(128),
  "\uD800",
])("%j is refused", (name) => {
  expect(() => checkName(name)).toThrow(expect.objectContaining({ code: "files/path-escape" }));
});

test.each([
  { paths: ["a/../b"] },
  { paths: ["/a"] },
  { paths: ["a//b"] },
  { paths: ["a", "a"] },
  { paths: ["Readme", "README"] },
  { paths: ["caf\u00E9", "cafe\u0301"] },
  { paths: ["a", "a/b"] },
  { paths: ["x/y/z", "X/Y"] },
  { paths: [Array.from({ length: PATH_SEGMENTS_MAX + 1 }, () => "d").join("/")] },
])("$paths are no folder", ({ paths }) => {
  expect(() => checkPaths(paths)).toThrow(expect.objectContaining({ code: "files/path-escape" }));
});

test("a folder with folders is one", () => {
  const deepest = Array.from({ length: PATH_SEGMENTS_MAX }, () => "d").join("/");
  expect(() => checkPaths(["a", "b/a", "b/c", "ab", deepest])).not.toThrow();
});
