import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import {
  decodeMesh,
  DEAD_MAX,
  encodeMesh,
  type MeshMessage,
  PATH_MAX,
} from "../../../peer/overlay/mesh/mesh-messages.ts";

const place = { x: -12, y: 40, height: 3 };
const MESSAGES: readonly MeshMessage[] = [
  {
    kind: "greet",
    version: 1,
    beacon: true,
    place,
    error: 0.25,
    entries: [{ key: 2 ** 52 - 1, rttMs: 80, ...place }],
  },
  { kind: "delta", place, entries: [], gone: [0, 5] },
  { kind: "ping", id: 7 },
  { kind: "note", body: Uint8Array.of(1, 2) },
  { kind: "pong", id: 7, place, error: 1 },
  {
    kind: "forward",
    mid: 123_456_789_012_345,
    target: 99,
    exact: true,
    greedy: true,
    open: true,
    strays: 2,
    ttl: 24,
    budgetMs: 4_000,
    origin: 1,
    promise: 2 ** 52,
    path: [1, 2, 3],
    dead: [4],
    body: Uint8Array.of(1, 2, 3),
  },
  { kind: "ack", mids: [1, 2 ** 50] },
  { kind: "reply", mid: 9, origin: 1, path: [1, 2], hops: 3, found: false, body: new Uint8Array(0) },
  { kind: "who", key: 17 },
  { kind: "contact", key: 17, contact: Uint8Array.of(9) },
  { kind: "bye", reason: "surplus", others: Uint8Array.of(7) },
];

test.each(MESSAGES.map((message) => [message.kind, message] as const))(
  "%s comes back as it was",
  (_, message) => {
    expect(decodeMesh(encodeMesh(message))).toEqual(message);
  },
);

test("the bytes are those of WIRE.md", () => {
  expect(toHex(encodeMesh({ kind: "ping", id: 7 }))).toBe("920207");
  expect(toHex(encodeMesh({ kind: "bye", reason: "full", others: new Uint8Array(0) }))).toBe("930902c400");
  expect(toHex(encodeMesh({ kind: "delta", place, entries: [], gone: [5] }))).toBe("9601f428039091" + "05");
});

test.each(MESSAGES.map((message) => [message.kind, message] as const))(
  "%s cut short is refused",
  (_, message) => {
    const bytes = encodeMesh(message);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeMesh(bytes.subarray(0, length))).toThrow(PeerloomError);
    }
  },
);

test("lists have bounds", () => {
  const forward = MESSAGES.find((message) => message.kind === "forward");
  if (forward?.kind !== "forward") throw new Error("there is a forward above");
  const keys = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
  expect(() => decodeMesh(encodeMesh({ ...forward, path: keys(PATH_MAX + 1) }))).toThrow("short list");
  expect(() => decodeMesh(encodeMesh({ ...forward, dead: keys(DEAD_MAX + 1) }))).toThrow("short list");
  expect(() => decodeMesh(encodeMesh({ ...forward, target: 2 ** 52 }))).toThrow("key");
  expect(() => decodeMesh(encodeMesh({ ...forward, ttl: 200 }))).toThrow("whole number");
  expect(() => decodeMesh(encodeMesh({ kind: "ack", mids: keys(65) }))).toThrow("short list");
});

test("a table larger than any has now is read, since older peers' have no bound, and one four times as large is not", () => {
  const greet = (count: number): MeshMessage => ({
    kind: "greet",
    version: 1,
    beacon: false,
    place,
    error: 0,
    entries: Array.from({ length: count }, (_, key) => ({ key: 2 ** 51 + key, rttMs: 300, ...place })),
  });
  for (const count of [129, 512]) {
    const bytes = encodeMesh(greet(count));
    expect(bytes.length).toBeLessThan(16_384);
    expect(decodeMesh(bytes)).toEqual(greet(count));
  }
  expect(() => decodeMesh(encodeMesh(greet(513)))).toThrow(PeerloomError);
});

test("no bytes do more than be refused", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.nat(MESSAGES.length - 1),
      fc.nat(),
      (noise, index, at) => {
        const bytes = encodeMesh(MESSAGES[index] as MeshMessage);
        bytes.set(noise.subarray(0, Math.max(bytes.length - (at % bytes.length), 0)), at % bytes.length);
        for (const each of [noise, bytes]) {
          try {
            decodeMesh(each);
          } catch (error) {
            expect(error).toBeInstanceOf(PeerloomError);
          }
        }
      },
    ),
    { numRuns: 2_000 },
  );
});
