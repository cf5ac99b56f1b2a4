/** What a stranger may not put into a message, and what decoding costs at most. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { fromHex, utf8 } from "../../shared/bytes.ts";
import { decode, encode, FieldReader, scan, type ScanLimits } from "../../shared/codec.ts";
import { PeerloomError } from "../../shared/errors.ts";

const LIMITS: ScanLimits = { bytesMax: 65_536 };

/** Decoding `hex` must be refused with that code, before msgpackr sees it. */
function checkRefused(hex: string, code = "wire/malformed", limits = LIMITS): void {
  expect(refusal(() => decode(bytesOf(hex), limits))).toBe(code);
}

test.each([
  ["a record definition", "d4724091a16101"],
  ["a record definition with two bytes of id", "d572004091a16101"],
  ["a record definition inside an array", "91d4724091a16101"],
  ["fixext 1 (undefined)", "d40000"],
  ["fixext 4 (timestamp)", "d6ff00000000"],
  ["fixext 8", "d7ff0000000000000000"],
  ["fixext 16", `d8ff${"00".repeat(16)}`],
  ["ext 8: RegExp", "c70478a162a167"],
  ["ext 8: Error", "c70165c0"],
  ["ext 8: typed array", "c7027400ff"],
  ["ext 8: Set", "c7017390"],
  ["ext 8: reference target", "c70569000000019101"],
  ["ext 8: reference", "c70470000000001"],
  ["ext 8: bundled strings", "c7046200000000"],
  ["ext 8: BigInt", "c7014201"],
  ["ext 16", "c8000165c0"],
  ["ext 32", "c90000000165c0"],
  ["the type that is never used", "c1"],
])("%s is refused", (_, hex) => checkRefused(hex.length % 2 === 0 ? hex : `${hex}0`));

test.each([
  ["nothing at all", ""],
  ["an array without its items", "92c0"],
  ["text cut short", "a5616263"],
  ["bytes cut short", "c4ff00"],
  ["a header cut short", "dd0000"],
  ["an array of 2^31", "dd80000000"],
  ["a map of 2^31", "df80000000"],
  ["bytes of 2^31", "c680000000"],
  ["text of 2^31", "db80000000"],
  ["bytes behind the value", "c0c0"],
  ["invalid UTF-8", "a2c328"],
  ["a lone surrogate", "a3eda080"],
  ["the key __proto__", "81a95f5f70726f746f5f5fc0"],
  ["the key __proto__, spelt with a longer header", "81d9095f5f70726f746f5f5fc0"],
  ["the key __proto__ in a second place", "82a16101a95f5f70726f746f5f5f80"],
  ["a number for a key", "8101c0"],
  ["an array for a key", "8190c0"],
  ["bytes for a key", "81c40161c0"],
  ["null for a key", "81c0c0"],
])("%s is refused", (_, hex) => checkRefused(hex));

test("__proto__ as a value is text like any other", () => {
  expect(decode(encode(["__proto__", { a: "__proto__" }]), LIMITS)).toEqual([
    "__proto__",
    { a: "__proto__" },
  ]);
});

test("5,000 nested arrays are refused", () => checkRefused("91".repeat(5_000)));

test("nesting ends at the limit exactly", () => {
  checkAccepted("91919190", { ...LIMITS, depthMax: 4 });
  checkRefused("91919190", "wire/malformed", { ...LIMITS, depthMax: 3 });
  checkAccepted("81a16181a16180", { ...LIMITS, depthMax: 3 });
  checkRefused("81a16181a16180", "wire/malformed", { ...LIMITS, depthMax: 2 });
});

test("64 KiB of empty maps are refused", () => checkRefused(`dcfff0${"80".repeat(0xfff0)}`));

test("items end at the limit exactly, however they are spread", () => {
  const limits = { ...LIMITS, itemsMax: 9 };
  checkAccepted(`98${"c0".repeat(8)}`, limits);
  checkRefused(`99${"c0".repeat(9)}`, "wire/malformed", limits);
  checkAccepted("93" + "92c0c0".repeat(2) + "91c0", limits);
  checkRefused("93" + "92c0c0".repeat(3), "wire/malformed", limits);
});

test("text ends at the limit exactly, in bytes", () => {
  const limits = { ...LIMITS, textBytesMax: 4 };
  checkAccepted("a461626364", limits);
  checkRefused("a56162636465", "wire/malformed", limits);
  checkRefused("a6c3a9c3a9c3a9", "wire/malformed", limits);
});

test("a long message is refused before it is walked", () => {
  checkRefused("c404ffffffff", "wire/too-large", { bytesMax: 5 });
});

test("byte fields do not alias the input, Buffers included", () => {
  for (const input of [encode([Uint8Array.of(1, 2, 3)]), Buffer.from(encode([Uint8Array.of(1, 2, 3)]))]) {
    const [field] = decode(input, LIMITS) as [Uint8Array];
    const read = new FieldReader(decode(input, LIMITS), "test").bytes(3, 3);
    input.fill(0);
    expect(Array.from(field)).toEqual([1, 2, 3]);
    expect(Array.from(read)).toEqual([1, 2, 3]);
  }
});

test("what was encoded stays as it is when more is encoded", () => {
  const first = encode(["first", 1]);
  const copy = Uint8Array.from(first);
  for (let i = 0; i < 100; i++) encode(["other", i, "x".repeat(i)]);
  expect(first).toEqual(copy);
});

test("a refused message leaves nothing behind for the next", () => {
  const good = encode(["find", 1, { a: [1, 2] }]);
  for (const hex of ["d4724091a16101", "91d4724091a16101", "81a95f5f70726f746f5f5fc0"]) checkRefused(hex);
  expect(decode(good, LIMITS)).toEqual(["find", 1, { a: [1, 2] }]);
  expect(decode(bytesOf("40"), LIMITS)).toBe(0x40); // would be a record had the definition been taken
});

test("a time is a number, whether it comes as float64 or as int64", () => {
  const timeMs = 1_800_000_000_000;
  for (const hex of ["cb427a3185c5000000", "cf000001a3185c5000", "d3000001a3185c5000"]) {
    expect(decode(bytesOf(hex), LIMITS)).toBe(timeMs);
  }
});

test("fields are read once each, with their types and bounds", () => {
  const value = [7, true, "abc", Uint8Array.of(1), [1, 2], null, [9]];
  const fields = new FieldReader(decode(encode(value), LIMITS), "test");
  expect(fields.integer(0, 7)).toBe(7);
  expect(fields.boolean()).toBe(true);
  expect(fields.text(3)).toBe("abc");
  expect(Array.from(fields.bytes(1, 1))).toEqual([1]);
  expect(fields.list(2, (item) => item)).toEqual([1, 2]);
  expect(fields.skipNull()).toBe(true);
  const nested = fields.nested("nested");
  expect(nested.skipNull()).toBe(false);
  expect(nested.integer(9, 9)).toBe(9);
  nested.end();
  fields.end();
  expect(refusal(() => fields.boolean())).toBe("wire/malformed");
});

test.each<[string, unknown, (fields: FieldReader) => unknown]>([
  ["an integer too large", 8, (fields) => fields.integer(0, 7)],
  ["a fraction", 1.5, (fields) => fields.integer(0, 7)],
  ["not a number", Number.NaN, (fields) => fields.integer(0, 7)],
  ["a BigInt", 2n ** 63n, (fields) => fields.integer(0, Number.MAX_SAFE_INTEGER)],
  ["a number for a boolean", 1, (fields) => fields.boolean()],
  ["text too long", "abcd", (fields) => fields.text(3)],
  ["text for bytes", "abc", (fields) => fields.bytes(0, 9)],
  ["bytes too short", new Uint8Array(1), (fields) => fields.bytes(2, 9)],
  ["a list too long", [1, 2, 3], (fields) => fields.list(2, (item) => item)],
  ["a map for a list", { length: 0 }, (fields) => fields.list(2, (item) => item)],
  ["a parser's no", "x", (fields) => fields.parsed(() => undefined, "something")],
  ["a map for a nested message", {}, (fields) => fields.nested("nested")],
  ["one field too many", 1, (fields) => fields.end()],
])("a field reader refuses %s", (_, value, read) => {
  const fields = new FieldReader(decode(encode([value]), LIMITS), "test");
  expect(refusal(() => read(fields))).toBe("wire/malformed");
});

test("hostile messages within the limits keep the heap small", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  // 511 empty maps are what weighs most among 512 items; `kept` holds on to what a peer would hold on to.
  const hostile = bytesOf(`dc01ff${"80".repeat(511)}`);
  for (let i = 0; i < 200; i++) decode(hostile, LIMITS);
  collect();
  const before = process.memoryUsage().heapUsed;
  const kept = Array.from({ length: 200 }, () => decode(hostile, LIMITS));
  collect();
  const grownPerMessage = (process.memoryUsage().heapUsed - before) / kept.length;
  expect(kept).toHaveLength(200);
  expect(grownPerMessage).toBeLessThan(512 * 80);
});

test("scanning alone refuses the same", () => {
  expect(refusal(() => scan(bytesOf("d4724091a16101"), LIMITS))).toBe("wire/malformed");
  expect(refusal(() => scan(utf8("x"), LIMITS))).toBe("nothing thrown");
});

function checkAccepted(hex: string, limits: ScanLimits): void {
  expect(refusal(() => decode(bytesOf(hex), limits))).toBe("nothing thrown");
}

function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  if (bytes === undefined) throw new Error(`${hex.slice(0, 20)} is not hex`);
  return bytes;
}

function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof PeerloomError) return error.code;
    throw error;
  }
  return "nothing thrown";
}
