/** What waits on a stream to be read, against a plain list of bytes. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ReceiveQueue } from "../../../peer/session/receive-queue.ts";
import { concatBytes } from "../../../shared/bytes.ts";

/** Pieces of a stream, each in memory of its own or among others'. */
const piece = fc.record({
  bytes: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 9_000 })),
  besideBytes: fc.constantFrom(0, 10, 20_000),
});
const step = fc.oneof(
  fc.record({ kind: fc.constant("push" as const), piece }),
  fc.record({ kind: fc.constant("shift" as const) }),
  fc.record({ kind: fc.constant("fill" as const), bytes: fc.integer({ min: 1, max: 6_000 }) }),
);

test("what goes in comes out, in order, whatever the pieces", () =>
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new ReceiveQueue();
      let [pushed, taken] = [0, 0];
      const expected = (length: number): Uint8Array =>
        Uint8Array.from({ length }, (_, i) => (taken + i) % 251);
      for (const each of steps) {
        if (each.kind === "push") {
          const memory = new Uint8Array(each.piece.bytes + each.piece.besideBytes);
          const bytes = memory.subarray(0, each.piece.bytes);
          for (let i = 0; i < bytes.length; i++) bytes[i] = pushed++ % 251;
          queue.push(bytes);
        } else {
          const target = new Uint8Array(each.kind === "fill" ? each.bytes : 0);
          const got =
            each.kind === "fill" ? target.subarray(0, queue.fill(target)) : (queue.shift() ?? target);
          expect(got).toEqual(expected(got.length));
          taken += got.length;
          // As the reader takes it over.
          if (each.kind === "shift" && got.length > 0) (got.buffer as ArrayBuffer).transfer();
        }
        expect(queue.length).toBe(pushed - taken);
      }
    }),
  ));

test("many small pieces come out as few", () => {
  const queue = new ReceiveQueue();
  for (let i = 0; i < 10_000; i++) queue.push(Uint8Array.of(i));
  const pieces: Uint8Array[] = [];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) pieces.push(next);
  expect(pieces.length).toBe(3);
  expect(concatBytes(...pieces)).toEqual(Uint8Array.from({ length: 10_000 }, (_, i) => i));
});

test("a piece that is most of its memory keeps it, and one that is not is copied", () => {
  const queue = new ReceiveQueue();
  const [most, little] = [new Uint8Array(9_000), new Uint8Array(9_000).subarray(0, 4_400)];
  queue.push(most);
  queue.push(little);
  expect(queue.shift()).toBe(most);
  expect(queue.shift()?.buffer).not.toBe(little.buffer);
});
