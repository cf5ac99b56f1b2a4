import fc from "fast-check";
import { expect, test } from "vitest";
import { ByteQueue } from "../../../peer/session/byte-queue.ts";
import { concatBytes } from "../../../shared/bytes.ts";
import { counting, outcomeOf } from "./support.ts";

const CAPACITY = 40_000;

function taken(queue: ByteQueue, bytesMax: number): Uint8Array {
  return concatBytes(...queue.take(bytesMax));
}

test("what goes in comes out, in order, whatever the sizes", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ write: fc.nat(60_000), take: fc.nat(60_000) }), { maxLength: 30 }),
      (steps) => {
        const queue = new ByteQueue(CAPACITY);
        let [written, read] = [0, 0];
        for (const step of steps) {
          const room = CAPACITY - (written - read);
          const count = queue.write(counting(step.write, written));
          expect(count).toBe(Math.min(step.write, room));
          written += count;
          const bytes = taken(queue, step.take);
          expect(bytes).toHaveLength(Math.min(step.take, written - read));
          // Not toEqual: it is slow on large arrays.
          expect(Buffer.compare(bytes, counting(bytes.length, read))).toBe(0);
          read += bytes.length;
          expect(queue.length).toBe(written - read);
        }
      },
    ),
    { numRuns: 50 },
  );
});

test("beyond the capacity nothing is taken, and nothing there is lost", () => {
  const queue = new ByteQueue(10);
  expect(queue.write(counting(8))).toBe(8);
  expect(queue.write(counting(8, 9))).toBe(2);
  expect(queue.write(counting(8, 11))).toBe(0);
  expect(taken(queue, 100)).toEqual(counting(10));
});

test("what wraps comes out as two views, what does not as one", () => {
  const queue = new ByteQueue(10);
  queue.write(counting(10));
  queue.take(6);
  queue.write(counting(6, 11));
  const views = queue.take(10);
  expect(views.map((view) => view.length)).toEqual([4, 6]);
  expect(concatBytes(...views)).toEqual(counting(10, 7));
  queue.write(counting(10, 17));
  expect(queue.take(10)).toEqual([counting(10, 17)]);
});

test("growth keeps the order of what had wrapped", () => {
  const queue = new ByteQueue(100_000);
  queue.write(counting(16_384));
  queue.take(10_000);
  queue.write(counting(10_000, 16_384 + 1));
  queue.write(counting(50_000, 26_384 + 1));
  expect(queue.length).toBe(66_384);
  expect(Buffer.compare(taken(queue, 66_384), counting(66_384, 10_001))).toBe(0);
});

test("the writer's chunk may be used again at once", () => {
  const queue = new ByteQueue(CAPACITY);
  const chunk = counting(5);
  queue.write(chunk);
  chunk.fill(0);
  expect(taken(queue, 5)).toEqual(counting(5));
});

test("views hold until the next write, through other takes and a clear", () => {
  const queue = new ByteQueue(10);
  queue.write(counting(10));
  const views = queue.take(4);
  queue.take(6);
  expect(concatBytes(...views)).toEqual(counting(4));
  queue.clear();
  expect(concatBytes(...views)).toEqual(counting(4));
});

test("nothing written or nothing asked for is nothing taken", () => {
  const queue = new ByteQueue(10);
  expect(queue.write(new Uint8Array(0))).toBe(0);
  expect(queue.take(10)).toEqual([]);
  queue.write(counting(3));
  expect(queue.take(0)).toEqual([]);
  expect(queue.length).toBe(3);
});

test("after a clear it is empty and works as new", () => {
  const queue = new ByteQueue(10);
  queue.write(counting(8));
  queue.take(5);
  queue.clear();
  expect(queue.length).toBe(0);
  expect(queue.take(10)).toEqual([]);
  expect(queue.write(counting(10, 50))).toBe(10);
  expect(taken(queue, 10)).toEqual(counting(10, 50));
});

test("half a byte is our own mistake", () => {
  expect(outcomeOf(() => new ByteQueue(10).take(0.5))).toBe("internal/assertion");
});

test("what was in it has departed when it was taken or dropped, and not before", async () => {
  const queue = new ByteQueue(100);
  await queue.departed();
  const told: string[] = [];
  const note = (name: string): void => void queue.departed().then(() => told.push(name));
  queue.write(new Uint8Array(10));
  note("ten");
  queue.write(new Uint8Array(10));
  note("twenty");
  queue.take(9);
  await Promise.resolve();
  expect(told).toEqual([]);
  queue.take(1);
  await Promise.resolve();
  expect(told).toEqual(["ten"]);
  queue.clear();
  await Promise.resolve();
  expect(told).toEqual(["ten", "twenty"]);
});
