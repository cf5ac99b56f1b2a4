/** When bulk is spread over more connections: the plan against lines of different kinds, seconds at a time. */
import { expect, test } from "vitest";
import { StripePlan, STRIPES_MAX } from "../../../peer/session/stripe-plan.ts";

const TICK_MS = 100;

class Line {
  readonly plan = new StripePlan();
  readonly #bytesPerMs: (stripes: number) => number;
  readonly #rttMs: number;
  /** Every change of what is wanted. */
  readonly wanted: number[] = [];
  #nowMs = 0;
  #landedBytes = 0;

  constructor(bytesPerMs: (stripes: number) => number, rttMs = 50) {
    this.#bytesPerMs = bytesPerMs;
    this.#rttMs = rttMs;
  }

  /** What is wanted is there half a second later. */
  run(seconds: number, isLimited = true): this {
    let stripes = this.plan.wanted;
    let dueAtMs = this.#nowMs;
    for (const untilMs = this.#nowMs + seconds * 1_000; this.#nowMs < untilMs; this.#nowMs += TICK_MS) {
      if (this.#nowMs >= dueAtMs) stripes = this.plan.wanted;
      if (isLimited) this.#landedBytes += this.#bytesPerMs(stripes) * TICK_MS;
      const before = this.plan.wanted;
      this.plan.step({
        nowMs: this.#nowMs,
        landedBytes: this.#landedBytes,
        isLimited,
        stripes,
        rttMs: this.#rttMs,
      });
      if (this.plan.wanted === before) continue;
      this.wanted.push(this.plan.wanted);
      dueAtMs = this.#nowMs + 500;
    }
    return this;
  }
}

test("loss limits each connection alike: all that are allowed are opened", () => {
  expect(new Line((stripes) => 280 * stripes).run(20).wanted).toEqual([4, STRIPES_MAX]);
});

test("the line is the limit: one try, then one connection again, and later tries rarer and rarer", () => {
  const line = new Line(() => 1_000).run(30);
  expect(line.wanted).toEqual([4, 1]);
  expect(line.run(60).wanted).toEqual([4, 1, 4, 1]);
  expect(line.run(60).wanted).toEqual([4, 1, 4, 1]);
});

test("four help and sixteen do not: four stay", () => {
  expect(new Line((stripes) => Math.min(280 * stripes, 1_200)).run(40).wanted).toEqual([4, 16, 4]);
});

test("a window that is large already is not limited by loss, and a near peer not at all", () => {
  expect(new Line((stripes) => 70_000 * stripes).run(20).wanted).toEqual([]);
  expect(new Line((stripes) => 280 * stripes, 5).run(20).wanted).toEqual([]);
});

test("a rate that falls away is not waited out: more are opened within seconds", () => {
  let each = 70_000;
  const line = new Line((stripes) => each * stripes).run(20);
  each = 1_000;
  expect(line.run(5).wanted).toEqual([4, STRIPES_MAX]);
});

test("a line that becomes slower is tried once, and then not before it has lost a third more", () => {
  let rate = 1_000;
  const line = new Line(() => rate).run(5);
  expect(line.wanted).toEqual([4, 1]);
  rate = 400;
  expect(line.run(10).wanted).toEqual([4, 1, 4, 1]);
  rate = 300;
  expect(line.run(10).wanted).toEqual([4, 1, 4, 1]);
});

test("an application that pauses while its connections rest has not lost its rate", () => {
  const line = new Line((stripes) => 70_000 * stripes).run(20);
  for (let i = 0; i < 20; i++) line.run(0.3).run(0.7, false);
  expect(line.wanted).toEqual([]);
});

test("without bulk for ten seconds one is left, and bulk opens them again", () => {
  const line = new Line((stripes) => 280 * stripes).run(20).run(9, false);
  expect(line.plan.wanted).toBe(STRIPES_MAX);
  expect(line.run(2, false).plan.wanted).toBe(1);
});

test("an application that sends little says nothing about the line", () => {
  const line = new Line((stripes) => 280 * stripes);
  for (let i = 0; i < 20; i++) line.run(0.5).run(0.5, false);
  expect(line.wanted).toEqual([]);
});

test("where nothing can be striped nothing is wanted", () => {
  const plan = new StripePlan();
  for (let nowMs = 0; nowMs < 20_000; nowMs += TICK_MS)
    plan.step({ nowMs, landedBytes: 280 * nowMs, isLimited: true, stripes: 1, rttMs: undefined });
  expect(plan.wanted).toBe(1);
});
