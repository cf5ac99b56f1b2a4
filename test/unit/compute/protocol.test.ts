/** The bytes of `work/1`: as WIRE.md writes them, there and back, and against nonsense. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type AskerMessage,
  decodeFromAsker,
  decodeFromWorker,
  encodeMessage,
  INPUT_BYTES_MAX,
  type WorkerMessage,
} from "../../../peer/services/compute/protocol.ts";
import { concatBytes, toHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";

const HEAD_BYTES = 5;
const HASH = new Uint8Array(32).fill(0xab);
const hashHex = "ab".repeat(32);

const whole = (message: AskerMessage | WorkerMessage): Uint8Array => concatBytes(...encodeMessage(message));

/** Type and body, as the stream's reader hands them on. */
function parts(bytes: Uint8Array): { readonly type: number; readonly body: Uint8Array } {
  return { type: bytes[HEAD_BYTES - 1] as number, body: bytes.subarray(HEAD_BYTES) };
}

const ASKERS: readonly (readonly [AskerMessage, string])[] = [
  [
    { kind: "ask", hash: HASH, memoryPages: 256, taskMs: 10_000 },
    `0000002901${`93c420${hashHex}cd0100cd2710`}`,
  ],
  [{ kind: "module", module: Uint8Array.of(0, 0x61, 0x73, 0x6d) }, "0000000403" + "0061736d"],
  [{ kind: "task", id: 258, input: Uint8Array.of(7, 8) }, "0000000604" + "00000102" + "0708"],
  [{ kind: "task", id: 0, input: new Uint8Array(0) }, "0000000404" + "00000000"],
  [{ kind: "cancel", id: 3 }, "0000000407" + "00000003"],
];
const WORKERS: readonly (readonly [WorkerMessage, string])[] = [
  [{ kind: "offer", slots: 2, taskMs: 30_000, wantsModule: true }, "0000000602" + "9302cd7530c3"],
  [{ kind: "result", id: 1, output: Uint8Array.of(9) }, "0000000505" + "00000001" + "09"],
  [{ kind: "failure", id: 1, code: "compute/trap" }, "0000001006" + "00000001" + "636f6d707574652f74726170"],
  // To an asker of before it, a failure of what it never asked.
  [{ kind: "waiting" }, "0000001006" + "ffffffff" + "636f6d707574652f62757379"],
  [{ kind: "refusal", code: "compute/busy" }, "0000000c08" + "636f6d707574652f62757379"],
];

test.each(ASKERS)("%o of who has tasks is these bytes", (message, hex) => {
  expect(toHex(whole(message))).toBe(hex);
  expect(decodeFromAsker(parts(whole(message)))).toEqual(message);
});

test.each(WORKERS)("%o of a worker is these bytes", (message, hex) => {
  expect(toHex(whole(message))).toBe(hex);
  expect(decodeFromWorker(parts(whole(message)))).toEqual(message);
});

test("bulk is written as it is, not copied", () => {
  const input = new Uint8Array(10_000);
  expect(encodeMessage({ kind: "task", id: 1, input })[1]).toBe(input);
});

test("limits hold, and a code of a newer worker means what its place means", () => {
  const malformed = [
    { type: 4, body: new Uint8Array(INPUT_BYTES_MAX + 5) },
    { type: 4, body: new Uint8Array(3) },
    { type: 7, body: new Uint8Array(5) },
    { type: 9, body: new Uint8Array(0) },
    // What only a worker says.
    { type: 5, body: new Uint8Array(8) },
    { type: 1, body: whole({ kind: "ask", hash: HASH, memoryPages: 0, taskMs: 1 }).subarray(HEAD_BYTES) },
    {
      type: 1,
      body: whole({ kind: "ask", hash: HASH, memoryPages: 16_385, taskMs: 1 }).subarray(HEAD_BYTES),
    },
    { type: 1, body: whole({ kind: "ask", hash: HASH, memoryPages: 1, taskMs: 0 }).subarray(HEAD_BYTES) },
  ];
  for (const message of malformed) expect(() => decodeFromAsker(message)).toThrow(PeerloomError);
  const body = new TextEncoder().encode("compute/of-the-future");
  expect(decodeFromWorker({ type: 8, body })).toEqual({ kind: "refusal", code: "compute/refused" });
  expect(() => decodeFromWorker({ type: 8, body: Uint8Array.of(0xff) })).toThrow(PeerloomError);
  expect(() => decodeFromWorker({ type: 8, body: new Uint8Array(65) })).toThrow(PeerloomError);
});

test("nonsense is refused by code, or is a message that encodes to the same", () => {
  const message = fc.record({ type: fc.nat(12), body: fc.uint8Array({ maxLength: 80 }) });
  fc.assert(
    fc.property(message, fc.boolean(), (raw, isAsker) => {
      const decode = isAsker ? decodeFromAsker : decodeFromWorker;
      let decoded: AskerMessage | WorkerMessage;
      try {
        decoded = decode(raw);
      } catch (error) {
        expect(error).toBeInstanceOf(PeerloomError);
        return;
      }
      expect(decode(parts(whole(decoded)))).toEqual(decoded);
    }),
    { numRuns: 3_000 },
  );
});
