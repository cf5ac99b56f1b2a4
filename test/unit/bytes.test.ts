/** Conversions against the vectors of RFC 4648 section 10, and what must be refused. */
import { expect, test } from "vitest";
import {
  concatBytes,
  equalBytes,
  fromBase32,
  fromBase64Url,
  fromHex,
  sha256,
  toBase32,
  toBase64Url,
  toHex,
  utf8,
  utf8Decode,
} from "../../shared/bytes.ts";

test.each([
  ["", "", ""],
  ["f", "my", "Zg"],
  ["fo", "mzxq", "Zm8"],
  ["foo", "mzxw6", "Zm9v"],
  ["foob", "mzxw6yq", "Zm9vYg"],
  ["fooba", "mzxw6ytb", "Zm9vYmE"],
  ["foobar", "mzxw6ytboi", "Zm9vYmFy"],
])("RFC 4648: %j", (text, base32, base64) => {
  expect(toBase32(utf8(text))).toBe(base32);
  expect(toBase64Url(utf8(text))).toBe(base64);
  expect(fromBase32(base32)).toEqual(utf8(text));
  expect(fromBase64Url(base64)).toEqual(utf8(text));
});

test("base64url uses - and _ where base64 has + and /", () => {
  const bytes = Uint8Array.of(0xfb, 0xff, 0xfe);
  expect(toBase64Url(bytes)).toBe("-__-");
  expect(fromBase64Url("-__-")).toEqual(bytes);
  expect(fromBase64Url("+//+")).toBeUndefined();
});

test.each(["a", "abc", "abcdef", "MY", "m1", "m=", "mz", "mzxr", "mzx\u00e9", "my======"])(
  "base32 refuses %j",
  (text) => {
    expect(fromBase32(text)).toBeUndefined();
  },
);

test.each(["Z", "Zh", "Zm9", "Zg==", "Zg=", "Z g", "Zm9vY"])("base64url refuses %j", (text) => {
  expect(fromBase64Url(text)).toBeUndefined();
});

test("hex goes both ways and refuses what is not hex", () => {
  expect(toHex(Uint8Array.of(0, 1, 0xab, 0xff))).toBe("0001abff");
  expect(fromHex("0001abFF")).toEqual(Uint8Array.of(0, 1, 0xab, 0xff));
  for (const text of ["0", "0g", "0x00", "  "]) expect(fromHex(text)).toBeUndefined();
});

test("invalid UTF-8 is refused, not repaired", () => {
  for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
    expect(() => utf8Decode(Uint8Array.from(bytes))).toThrow(TypeError);
  }
});

test("text comes back as it was, a leading byte order mark included", () => {
  for (const text of ["", "grüße", "\u{1f9f6}", "\ufeffx"]) expect(utf8Decode(utf8(text))).toBe(text);
});

test("joining and comparing", () => {
  const joined = concatBytes(Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3));
  expect(joined).toEqual(Uint8Array.of(1, 2, 3));
  expect(equalBytes(joined, Uint8Array.of(1, 2, 3))).toBe(true);
  expect(equalBytes(joined, Uint8Array.of(1, 2, 4))).toBe(false);
  expect(equalBytes(joined, Uint8Array.of(1, 2))).toBe(false);
});

test("SHA-256 of a view hashes the view alone", async () => {
  const whole = utf8("xabcx");
  const digest = await sha256(whole.subarray(1, 4));
  expect(toHex(digest)).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});
