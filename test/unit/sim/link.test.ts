import { afterEach, beforeEach, expect, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { type SimLinkPair, simLinkPair, type SimPathOptions } from "../../../peer/adapters/sim/link.ts";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import type { Link } from "../../../peer/links/link.ts";
import { concatBytes } from "../../../shared/bytes.ts";
import type { PeerloomError } from "../../../shared/errors.ts";

let clock: SimClock;
beforeEach(() => {
  clock = new SimClock();
});
afterEach(() => clock.close());

function pair(options: Partial<SimPathOptions<"tcp">> = {}): SimLinkPair<"tcp"> {
  return simLinkPair({ clock, random: seededRandom("link"), kind: "tcp", ...options });
}

/** Everything that a link tells, with the time. */
function watch(link: Link) {
  const seen = {
    frames: [] as Uint8Array[],
    arrivedAtMs: [] as number[],
    drains: 0,
    closes: [] as (string | undefined)[],
  };
  link.onFrame = (frame) => {
    seen.frames.push(frame.slice());
    seen.arrivedAtMs.push(clock.monotonicMs());
  };
  link.onDrain = () => (seen.drains += 1);
  link.onClose = (error: PeerloomError | undefined) => seen.closes.push(error?.code);
  return seen;
}

const frame = (first: number, length = 1): Uint8Array => new Uint8Array(length).fill(first);

test("frames arrive whole, in order, after the latency, joined from their pieces", async () => {
  const { first, second } = pair({ latencyMs: 20, jitterMs: 30 });
  const seen = watch(second);
  for (let i = 0; i < 50; i++) first.send([frame(i), frame(100 + i, 3)]);
  await clock.run();
  expect(seen.frames).toEqual(Array.from({ length: 50 }, (_, i) => concatBytes(frame(i), frame(100 + i, 3))));
  expect(seen.arrivedAtMs[0]).toBeGreaterThanOrEqual(20);
  expect(seen.arrivedAtMs.at(-1)).toBeLessThanOrEqual(50);
});

test("bandwidth fills the buffer, and draining is told once each time", async () => {
  const { first, second } = pair({ latencyMs: 5, bytesPerSecond: 1_000_000 });
  const [near, far] = [watch(first), watch(second)];
  for (let i = 0; i < 16; i++) first.send([frame(i, 65_536)]);
  expect(first.bufferedBytes).toBe(1_048_576);
  await clock.advance(500);
  expect(first.bufferedBytes).toBe(1_048_576 - 7 * 65_536);
  expect(near.drains).toBe(0);
  await clock.run();
  expect([first.bufferedBytes, near.drains]).toEqual([0, 1]);
  expect(clock.monotonicMs()).toBeCloseTo(1_053.576);
  for (const length of [200_000, 100_000]) first.send([frame(1, length)]);
  await clock.run();
  expect([far.frames.length, near.drains]).toEqual([18, 2]);
});

test("the memory of a frame is valid during the call only", async () => {
  const { first, second } = pair();
  let kept: Uint8Array | undefined;
  second.onFrame = (bytes) => (kept = bytes);
  first.send([frame(1, 4)]);
  await clock.run();
  expect(kept).toEqual(frame(0xdb, 4));
});

test("frames before a handler are kept, and a flood of them closes the link", async () => {
  const { first, second } = pair();
  for (let i = 0; i < 16; i++) first.send([frame(i)]);
  await clock.run();
  expect(watch(second).frames).toHaveLength(16);
  const flooded = pair();
  for (let i = 0; i < 17; i++) flooded.first.send([frame(i)]);
  await clock.run();
  expect(watch(flooded.second)).toMatchObject({ frames: [], closes: [undefined] });
  expect(flooded.isAlive).toBe(false);
});

test("close gives what was sent to the network first; both ends are told once", async () => {
  const { first, second } = pair({ bytesPerSecond: 10_000 });
  const [near, far] = [watch(first), watch(second)];
  first.send([frame(1, 1_000)]);
  first.close();
  first.close();
  first.send([frame(2)]);
  expect(near.closes).toEqual([]);
  await clock.run();
  expect(far.frames).toHaveLength(1);
  expect([near.closes, far.closes]).toEqual([[undefined], [undefined]]);
});

test("close on a path that takes nothing gives up", async () => {
  const { first, cut } = pair();
  const near = watch(first);
  cut("neither");
  first.send([frame(1)]);
  first.close();
  await clock.run();
  expect([near.closes, clock.monotonicMs()]).toEqual([[undefined], 5_000]);
});

test("destroy drops what is unsent and fails the other end", async () => {
  const { first, second } = pair({ bytesPerSecond: 1_000 });
  const [near, far] = [watch(first), watch(second)];
  first.send([frame(1, 1_000)]);
  first.destroy();
  expect([near.closes, first.bufferedBytes]).toEqual([[undefined], 0]);
  await clock.run();
  expect(far).toMatchObject({ frames: [], closes: ["link/failed"] });
});

test.each([
  ["both", ["link/failed"], ["link/failed"]],
  ["first", ["link/failed"], []],
  ["second", [], ["link/failed"]],
  ["neither", [], []],
] as const)("a cut that %s notice loses what is on its way", async (noticed, nearCloses, farCloses) => {
  const { first, second, cut } = pair({ latencyMs: 10 });
  const [near, far] = [watch(first), watch(second)];
  first.send([frame(1)]);
  await clock.advance(5);
  cut(noticed);
  first.send([frame(2, 100)]);
  await clock.run();
  expect(far.frames).toEqual([]);
  expect([near.closes, far.closes]).toEqual([nearCloses, farCloses]);
  expect(first.bufferedBytes).toBe(nearCloses.length === 0 ? 100 : 0);
});

test("a paused path loses nothing and keeps the order", async () => {
  const { first, second, pause, resume } = pair({ latencyMs: 10, jitterMs: 20, bytesPerSecond: 100 });
  const far = watch(second);
  for (let i = 0; i < 10; i++) first.send([frame(i)]);
  await clock.advance(35);
  pause();
  await clock.advance(60_000);
  const before = far.frames.length;
  expect(before).toBeLessThan(4);
  resume();
  await clock.run();
  expect(far.frames.map((bytes) => bytes[0])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test("a meddler decides what arrives; injected frames come behind", async () => {
  const kept: Uint8Array[] = [];
  const { first, second, inject } = pair({
    meddler: (bytes, direction) => {
      if (direction === "to-first") return [];
      kept.push(bytes);
      return bytes[0] === 1 ? [] : [bytes, ...kept];
    },
  });
  const [near, far] = [watch(first), watch(second)];
  first.send([frame(1)]);
  first.send([frame(2)]);
  second.send([frame(3)]);
  await clock.advance(0);
  inject(frame(9), "to-second");
  await clock.run();
  expect(far.frames.map((bytes) => bytes[0])).toEqual([2, 1, 2, 9]);
  expect(near.frames).toEqual([]);
});

test("too long a frame ends the link on both sides", async () => {
  const { first, second } = pair({ frameBytesMax: 100 });
  const [near, far] = [watch(first), watch(second)];
  first.send([frame(1, 101)]);
  await clock.run();
  expect([near.closes, far.closes]).toEqual([["link/frame-too-large"], ["link/frame-too-large"]]);
});
