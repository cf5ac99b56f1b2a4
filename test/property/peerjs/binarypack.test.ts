/**
 * The codec beside `peerjs-js-binarypack`, which is what the stock client runs: what we write it reads as it was, what it writes we read
 * as it does. Numbers that it packs or reads wrong are the exception, and named here. Then strangers' bytes.
 */
import fc from "fast-check";
import * as stock from "peerjs-js-binarypack";
import { expect, test } from "vitest";
import { unpack } from "../../../peer/peerjs/binarypack-reader.ts";
import { pack } from "../../../peer/peerjs/binarypack-writer.ts";
import { concatBytes } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";

const BYTES_MAX = 1_000_000;

/** The types say a packed value, the code takes a buffer. */
const stockUnpack = (bytes: Uint8Array): unknown =>
  stock.unpack(bytes.slice().buffer as unknown as Parameters<typeof stock.unpack>[0]);

function packed(value: unknown): Uint8Array {
  return concatBytes(...(pack(value, BYTES_MAX).parts as Uint8Array[]));
}

/** Doubles with a full mantissa; 0 is a whole number. */
const number = fc
  .oneof(
    fc.double({ noNaN: true }),
    fc.integer({ min: -(2 ** 53), max: 2 ** 53 }),
    fc.integer(),
    fc.nat(70_000),
    fc.constantFrom(
      2 ** 31,
      -(2 ** 31),
      -(2 ** 31) - 1,
      2 ** 32,
      2 ** 32 - 1,
      2 ** 63,
      2 ** 64,
      -(2 ** 63),
      1e300,
    ),
    fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.MAX_VALUE, 2 ** -1022, 0.1),
  )
  .map((value) => (value === 0 || Math.abs(value) < 2 ** -1022 ? 0 : value));

const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 40 }).map((value) => value.toWellFormed()),
  fc.nat(70_000).map((length) => "é".repeat(length)),
);
const key = fc.string({ unit: "grapheme", maxLength: 20 }).filter((value) => value !== "__proto__");
const buffer = fc.uint8Array({ maxLength: 70_000 }).map((value) => value.slice().buffer);

const { value: anything } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    number,
    text,
    fc.boolean(),
    fc.constantFrom(null, undefined),
    buffer,
    fc.array(tie("value"), { maxLength: 20 }),
    fc.dictionary(key, tie("value"), { maxKeys: 20, noNullPrototype: true }),
  ),
}));

test("what we write, the stock client reads as it was", () => {
  fc.assert(
    fc.property(anything, (value) => {
      expect(stockUnpack(packed(value))).toStrictEqual(value);
    }),
    { numRuns: 400 },
  );
});

test("what we write, we read as it was, and no byte is left over or missing", () => {
  fc.assert(
    fc.property(anything, fc.nat(), (value, cut) => {
      const bytes = packed(value);
      expect(unpack(bytes).value).toStrictEqual(value);
      const short = bytes.subarray(0, cut % bytes.length);
      expect(() => unpack(short)).toThrow(PeerloomError);
      expect(() => unpack(concatBytes(bytes, Uint8Array.of(0)))).toThrow(PeerloomError);
    }),
    { numRuns: 300 },
  );
});

/** It packs doubles by logarithms: near a power of two, and where they have no full mantissa, it packs another number. */
const packedRight = number.filter((value) => {
  const read = stockUnpack(new Uint8Array(stockPack(value) ?? [0xc0]));
  return Object.is(read, value);
});

function stockPack(value: unknown): ArrayBuffer | undefined {
  try {
    const bytes = stock.pack(value as Parameters<typeof stock.pack>[0]);
    if (bytes instanceof Promise) throw new Error("only Blobs take time");
    return bytes as ArrayBuffer;
  } catch {
    return undefined; // Infinity, and whole numbers over 2^64
  }
}

test("what the stock client writes, we read as it does", () => {
  const { value: theirs } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      packedRight,
      text,
      fc.boolean(),
      fc.constantFrom(null, undefined),
      buffer,
      fc.array(tie("value"), { maxLength: 20 }),
      fc.dictionary(key, tie("value"), { maxKeys: 20, noNullPrototype: true }),
    ),
  }));
  fc.assert(
    fc.property(theirs, (value) => {
      const bytes = new Uint8Array(stockPack(value) as ArrayBuffer);
      expect(unpack(bytes).value).toStrictEqual(stockUnpack(bytes));
    }),
    { numRuns: 400 },
  );
});

test("whole numbers below -2^31, which the stock client packs right and reads wrong, are read right", () => {
  fc.assert(
    fc.property(fc.integer({ min: -(2 ** 53), max: -(2 ** 31) - 1 }), (value) => {
      expect(unpack(new Uint8Array(stockPack(value) as ArrayBuffer)).value).toBe(value);
    }),
  );
});

test("strangers' bytes are a value or wire/malformed, and cost no more than they are long", () => {
  const headers = fc.constantFrom(
    0x8f,
    0x9f,
    0xaf,
    0xbf,
    0xd9,
    0xdb,
    0xdd,
    0xdf,
    0xde,
    0xdc,
    0xc4,
    0xd4,
    0xcb,
    0xff,
  );
  const bytes = fc
    .array(fc.oneof(fc.integer({ min: 0, max: 255 }), headers), { maxLength: 200 })
    .map((octets) => Uint8Array.from(octets));
  fc.assert(
    fc.property(bytes, (octets) => {
      try {
        // Items are of the message: each has a byte of its own.
        expect(unpack(octets).items).toBeLessThanOrEqual(octets.length);
      } catch (error) {
        expect(error).toMatchObject({ code: "wire/malformed" });
      }
    }),
    { numRuns: 3_000 },
  );
});
