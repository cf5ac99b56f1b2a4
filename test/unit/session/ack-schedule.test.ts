import { afterEach, beforeEach, expect, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { AckSchedule } from "../../../peer/session/ack-schedule.ts";

const KIB = 1024;

let clock: SimClock;
let acksAtMs: number[];
let acks: AckSchedule;
beforeEach(() => {
  clock = new SimClock();
  acksAtMs = [];
  acks = new AckSchedule(clock, () => acksAtMs.push(clock.monotonicMs()));
});
afterEach(() => clock.close());

/** Receives frames of so many bytes, one each millisecond. */
async function receiveSteadily(bytes: number, durationMs: number): Promise<void> {
  for (let i = 0; i < durationMs; i++) {
    acks.received(bytes);
    await clock.advance(1);
  }
}

test("little is acknowledged together, 10 ms after its first frame", async () => {
  await clock.advance(100);
  await receiveSteadily(100, 5);
  expect(acksAtMs).toEqual([]);
  await clock.advance(50);
  expect(acksAtMs).toEqual([110]);
});

test("64 KiB are acknowledged at once, and not again later", async () => {
  await clock.advance(100);
  acks.received(1);
  acks.received(64 * KIB - 1);
  expect(acksAtMs).toEqual([100]);
  expect(clock.timersPending).toBe(0);
  await clock.advance(50);
  expect(acksAtMs).toEqual([100]);
});

test("the more comes in, the fewer acknowledgements for the same bytes", async () => {
  await receiveSteadily(32 * KIB, 200);
  const slow = acksAtMs.length / (32 * 200);
  acksAtMs = [];
  await receiveSteadily(128 * KIB, 200);
  const fast = acksAtMs.length / (128 * 200);
  expect(fast).toBeLessThan(slow / 2);
});

test("however much comes in, no more than 512 KiB wait", async () => {
  await receiveSteadily(512 * KIB, 50);
  acksAtMs = [];
  await receiveSteadily(512 * KIB, 20);
  expect(acksAtMs).toHaveLength(20);
});

test("after a rush and a silence it begins again with little", async () => {
  await receiveSteadily(512 * KIB, 50);
  await clock.advance(1_000);
  acks.received(1);
  await clock.advance(20);
  acksAtMs = [];
  acks.received(64 * KIB);
  expect(acksAtMs).toEqual([clock.monotonicMs()]);
});

test("an acknowledgement sent for another reason takes the place of the one that was due", async () => {
  acks.received(100);
  await clock.advance(3);
  acks.now();
  await clock.advance(50);
  expect(acksAtMs).toEqual([3]);
});

test("data takes an acknowledgement along that is due soon, and not one that is not", async () => {
  acks.ride();
  acks.received(100);
  await clock.advance(7);
  acks.ride();
  expect(acksAtMs).toEqual([]);
  await clock.advance(1);
  acks.ride();
  acks.ride();
  expect(acksAtMs).toEqual([8]);
  await clock.advance(50);
  expect(acksAtMs).toEqual([8]);
});

test("when stopped, nothing is left to happen", async () => {
  acks.received(100);
  acks.stop();
  expect(clock.timersPending).toBe(0);
  await clock.advance(50);
  expect(acksAtMs).toEqual([]);
});
