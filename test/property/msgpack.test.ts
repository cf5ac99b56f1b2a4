/** Our msgpack beside msgpackr's, which stands for all others: the same bytes for a value, the same value for bytes. */
import fc from "fast-check";
import { Packr } from "msgpackr/pack";
import { expect, test } from "vitest";
import { pack, unpack } from "../../shared/msgpack.ts";

const other = new Packr({
  useRecords: false,
  moreTypes: false,
  mapsAsObjects: true,
  variableMapSize: true,
  int64AsType: "auto",
});

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 400 }),
  // At and around every length that changes a header.
  fc.constantFrom(23, 24, 31, 32, 255, 256, 65_535, 65_536).map((length) => "x".repeat(length)),
  fc
    .constantFrom("é", "\u{feff}", "日本", "🧵")
    .chain((unit) => fc.nat(90).map((count) => unit.repeat(count))),
);
const number = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true }),
  fc.constantFrom(0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000),
  fc.constantFrom(-0x20, -0x21, -0x80, -0x81, -0x8000, -0x8001, -0x8000_0000, -0x8000_0001),
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom(null, true, false),
    number,
    text,
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie("value"), { maxLength: 20 }),
    fc.dictionary(
      text.filter((key) => key !== "__proto__"),
      tie("value"),
      { maxKeys: 20, noNullPrototype: true },
    ),
  ),
}));

test("packs what msgpackr packs", () => {
  checkAll((each) => expect(pack(each)).toEqual(Uint8Array.from(other.pack(each))));
});

test("what msgpackr packed comes out as what we packed", () => {
  checkAll((each) => expect(unpack(Uint8Array.from(other.pack(each)))).toStrictEqual(unpack(pack(each))));
});

test("what was packed comes out as it went in", () => {
  checkAll((each) => expect(unpack(pack(each))).toEqual(each));
});

test.each([255, 256, 65_535, 65_536])("%i items and bytes are packed as msgpackr packs them", (length) => {
  for (const each of [new Uint8Array(length), Array.from({ length }, () => null)])
    expect(pack(each)).toEqual(Uint8Array.from(other.pack(each)));
});

test("a getter may pack something itself", () => {
  const tricky = {
    get first() {
      return pack(["inner"]);
    },
    second: "x".repeat(30),
  };
  expect(unpack(pack(tricky))).toEqual({ first: pack(["inner"]), second: "x".repeat(30) });
});

test("what no message is made of is our own mistake", () => {
  expect(() => pack([undefined])).toThrow("A message holds no undefined");
});

function checkAll(check: (each: unknown) => void): void {
  fc.assert(
    fc.property(value, (each) => {
      check(each);
    }),
  );
}
