import { beforeEach, expect, test } from "vitest";
import { DialOnDemand, HURRY_MS } from "../../../peer/overlay/dial-on-demand.ts";
import { FakeClock } from "./fake-clock.ts";

let clock: FakeClock;
let closing: AbortController;
let demand: DialOnDemand;
beforeEach(() => {
  clock = new FakeClock();
  closing = new AbortController();
  demand = new DialOnDemand({
    clock,
    random: { bytes: (length) => new Uint8Array(length), unit: () => 0.5 },
  });
  demand.dialled();
});

/** When what is waited for is over, or undefined while it is not. */
function endOf(waiting: Promise<void>): { readonly atMs: number | undefined } {
  const end: { atMs: number | undefined } = { atMs: undefined };
  void waiting.then(() => (end.atMs = clock.monotonicMs()));
  return end;
}

test("a wait lasts as long as it should when nobody needs the edge", async () => {
  const end = endOf(demand.wait(60_000, true, closing.signal));
  await clock.advance(59_999);
  expect(end.atMs).toBeUndefined();
  await clock.advance(1);
  expect(end.atMs).toBe(60_000);
});

test("who needs the edge cuts it short, spread over a few seconds, and never makes it longer", async () => {
  const long = endOf(demand.wait(60_000, true, closing.signal));
  await clock.advance(10_000);
  demand.hurry();
  await clock.advance(HURRY_MS);
  expect(long.atMs).toBe(10_000 + HURRY_MS / 2);
  const short = endOf(demand.wait(1_000, true, closing.signal));
  demand.hurry();
  await clock.advance(HURRY_MS);
  expect(short.atMs).toBe(10_000 + HURRY_MS + 1_000);
});

test("a closed edge is waited for, whoever hurries", async () => {
  const end = endOf(demand.wait(60_000, false, closing.signal));
  demand.hurry();
  await clock.advance(60_000);
  expect(end.atMs).toBe(60_000);
});

test("what was left is dialled when it is wanted, and at once when it was wanted while it was being left", async () => {
  demand.release();
  expect(demand.isLeft).toBe(true);
  const end = endOf(demand.untilWanted(closing.signal));
  await clock.advance(60_000);
  expect(end.atMs).toBeUndefined();
  demand.want();
  await clock.advance(0);
  expect(end.atMs).toBe(60_000);
  expect(demand.dialled().aborted).toBe(false);
  demand.release();
  demand.want();
  await demand.untilWanted(closing.signal);
});

test("who is put away ends its wait and dials for nobody until it is taken back", async () => {
  const wait = endOf(demand.wait(60_000, true, closing.signal));
  demand.pause();
  await clock.advance(0);
  expect([wait.atMs, demand.isPaused, demand.isLeft]).toEqual([0, true, true]);
  const end = endOf(demand.untilWanted(closing.signal));
  demand.want();
  await clock.advance(1_000);
  expect(end.atMs).toBeUndefined();
  demand.resume();
  await clock.advance(0);
  expect(end.atMs).toBe(1_000);
});

test("closing ends whatever is waited for and leaves no timer", async () => {
  const wait = endOf(demand.wait(60_000, true, closing.signal));
  const wanted = endOf(demand.untilWanted(closing.signal));
  closing.abort();
  await clock.advance(0);
  expect([wait.atMs, wanted.atMs, clock.pendingTimers]).toEqual([0, 0, 0]);
  await demand.untilWanted(closing.signal);
});
