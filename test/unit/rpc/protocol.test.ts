import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { callsProtocol } from "../../../peer/services/rpc/naming.ts";
import {
  decodeCalleeMessage,
  decodeCallerMessage,
  decodeItem,
  decodeItemsHead,
  encodeCall,
  encodeCancel,
  encodeFailure,
  encodeItem,
  encodeItemFailure,
  encodeItemsHead,
  encodeResult,
  STREAMED,
} from "../../../peer/services/rpc/protocol.ts";
import { errorOf, failureOf, RemoteError } from "../../../peer/services/rpc/remote-error.ts";
import { toHex } from "../../../shared/bytes.ts";
import { encode } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";

const DECODERS = { decodeCallerMessage, decodeCalleeMessage, decodeItem, decodeItemsHead };

/** What a call carries and gives back as it was. Text that begins with a byte order mark is the codec's own exception. */
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.constantFrom(null, true, false),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((number) => !Object.is(number, -0)),
    fc.integer(),
    fc.string({ unit: "grapheme" }).filter((text) => !text.startsWith("\ufeff")),
    fc.uint8Array(),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(
      fc.string({ unit: "grapheme" }).filter((key) => key !== "__proto__" && !key.startsWith("\ufeff")),
      tie("value"),
      { maxKeys: 5, noNullPrototype: true },
    ),
  ),
}));

describe("messages", () => {
  test("bytes are those of WIRE.md", () => {
    const call = encodeCall({ id: 1, timeoutMs: 30_000, method: "add", args: [2, undefined, STREAMED] });
    expect(toHex(call)).toBe("950001cd7530a3616464939102" + "90" + "00");
    expect(toHex(encodeCancel(7))).toBe("920107");
    expect(toHex(encodeResult(7, 5))).toBe("9300079105");
    expect(toHex(encodeResult(7, undefined))).toBe("93000790");
    expect(toHex(encodeFailure(7, { code: "a/b", message: "c" }))).toBe("940107a3612f62a163");
    expect(toHex(encodeItemsHead({ callsStreamId: 1, callId: 7, slot: 0 }))).toBe("93010700");
    expect(toHex(encodeItem(5))).toBe("92009105");
    expect(toHex(encodeItemFailure({ code: "a/b", message: "c" }))).toBe("9301a3612f62a163");
  });

  test("what plain data can be comes back as it was", () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 8 }), (args) => {
        const call = { kind: "call", id: 9, timeoutMs: 50, method: "m", args } as const;
        expect(decodeCallerMessage(encodeCall(call))).toEqual(call);
        for (const arg of args) {
          expect(decodeCalleeMessage(encodeResult(3, arg))).toEqual({ kind: "result", id: 3, value: arg });
          expect(decodeItem(encodeItem(arg))).toEqual({ kind: "item", value: arg });
        }
      }),
    );
  });

  test("nonsense is refused as such, whatever it is", () => {
    const refused = (bytes: Uint8Array): void => {
      for (const decode of Object.values(DECODERS)) {
        try {
          decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(PeerloomError);
          expect((error as PeerloomError).code).toBe("rpc/protocol");
        }
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), refused));
    fc.assert(
      fc.property(value, (any) => {
        refused(encode(any));
        refused(encode([any, any, any]));
      }),
    );
    // One byte of a good message is changed.
    const good = encodeCall({ id: 1, timeoutMs: 30_000, method: "add", args: [2, { a: [1] }, STREAMED] });
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const bytes = good.slice();
        bytes[at] = byte;
        refused(bytes);
      }),
    );
  });

  test.for([
    [[0, 0, 1, "m", []], "number 0"],
    [[0, 1, 0, "m", []], "no time"],
    [[0, 1, 86_400_001, "m", []], "more than a day"],
    [[0, 1, 1, "m".repeat(65), []], "a long name"],
    [[0, 1, 1, "m", [[1, 2]]], "an argument of two values"],
    [[0, 1, 1, "m", [1]], "an argument without its list"],
    [[0, 1, 1, "m", Array.from({ length: 33 }, () => [])], "too many arguments"],
    [[0, 1, 1, "m", [], 1], "something more"],
    [[2, 1], "an unknown kind"],
  ] as const)("a call with %s is refused: %s", ([message]) => {
    expect(() => decodeCallerMessage(encode(message))).toThrow(/broke the protocol/);
  });

  test("depth is bounded on both sides by the same", () => {
    const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
    const deepest = encodeCall({ id: 1, timeoutMs: 1, method: "m", args: [nested(16)] });
    expect(decodeCallerMessage(deepest)).toMatchObject({ args: [nested(16)] });
    expect(() => encodeCall({ id: 1, timeoutMs: 1, method: "m", args: [nested(17)] })).toThrow(/16 deep/);
    const deeper = encode([0, 1, 1, "m", [[nested(17)]]]);
    expect(() => decodeCallerMessage(deeper)).toThrow(/broke the protocol/);
  });

  test("a service has a name of 1 to 100 bytes", () => {
    expect(callsProtocol("calc/1")).toBe("rpc/1/calc/1");
    for (const name of ["", "x".repeat(101), "ü".repeat(51), "\ud800"]) {
      expect(() => callsProtocol(name)).toThrow(PeerloomError);
    }
  });
});

describe("errors", () => {
  test("a code that another peer claims is only believed to be ours when there is one", () => {
    expect(errorOf({ code: "files/not-found", message: "m" })).toBeInstanceOf(PeerloomError);
    expect(errorOf({ code: "internal/assertion", message: "m" })).toMatchObject({
      code: "internal/assertion",
    });
    const remote = errorOf({ code: "app/x", message: "m" });
    expect(remote).toBeInstanceOf(RemoteError);
    expect(remote).toMatchObject({ code: "app/x", message: "m", name: "RemoteError" });
  });

  test("what travels is short and well-formed", () => {
    const long = Object.assign(new Error(`${"x".repeat(999)}😀`), { code: "app/x" });
    const failure = failureOf(long);
    expect(failure?.message).toHaveLength(1_000);
    expect(failure?.message.isWellFormed()).toBe(true);
    for (const code of ["", "has space", "ü", "x".repeat(65), 7, undefined]) {
      expect(failureOf(Object.assign(new Error("m"), { code }))).toBeUndefined();
    }
  });
});
