/** Who gets which task: by speed, again where somebody is lost or late, never twice to one peer; on virtual time with workers of all kinds. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Scheduler } from "../../../peer/services/compute/scheduler.ts";
import { simulate, type SimulatedWorker } from "./simulated-workers.ts";

const even = (count: number): number[] => Array.from({ length: count }, () => 1);
const allRight = (result: ReturnType<typeof simulate>): boolean => [...result.right.values()].every(Boolean);

test("four equal workers are at least 3.5 times as fast as one", () => {
  const worker = { taskMs: 50, rttMs: 20 };
  const one = simulate(even(400), [{ name: "a", ...worker }]);
  const four = simulate(
    even(400),
    ["a", "b", "c", "d"].map((name) => ({ name, ...worker })),
  );
  expect(one.makespanMs / four.makespanMs).toBeGreaterThan(3.5);
});

test("workers of different speeds are used by their speed: within a tenth of what all of them together could do", () => {
  const workers = [10, 20, 40, 80, 160].map((taskMs, i) => ({ name: `w${i}`, taskMs, rttMs: 10 }));
  const perMs = workers.reduce((sum, { taskMs }) => sum + 1 / taskMs, 0);
  const { makespanMs, done } = simulate(even(1_000), workers);
  expect(makespanMs).toBeLessThan((1_000 / perMs) * 1.1);
  expect(done.get("w0")).toBeGreaterThan(7 * (done.get("w4") ?? 0));
});

test("slots count: one worker with four is as fast as four with one", () => {
  const four = simulate(even(400), [{ name: "a", slots: 4, taskMs: 50 }]);
  expect(four.makespanMs).toBeLessThan(1.15 * 100 * 50);
});

test("short tasks over a long way are kept coming", () => {
  // One at a time would take 100 ms each.
  const { makespanMs } = simulate(even(1_000), [{ name: "a", taskMs: 2, rttMs: 100 }]);
  expect(makespanMs).toBeLessThan(5_000);
});

test("a straggler does not hold up the end: what it has is done again by others", () => {
  const workers: SimulatedWorker[] = [
    { name: "a", taskMs: 50 },
    { name: "b", taskMs: 50 },
    { name: "stuck", taskMs: 50, slows: { atMs: 1_000, times: 1_000 } },
  ];
  const result = simulate(even(200), workers);
  expect(result.makespanMs).toBeLessThan(6_000);
  expect(allRight(result)).toBe(true);
  expect(result.given).toBeLessThan(220);
});

test("what a lost worker had is done by others, and nothing is done twice without need", () => {
  const workers: SimulatedWorker[] = [
    { name: "a", taskMs: 20 },
    { name: "lost", taskMs: 20, diesAtMs: 500 },
  ];
  const result = simulate(even(200), workers);
  expect(result.right.size).toBe(200);
  expect(result.given).toBeLessThan(200 + 30);
});

test("copies go to different peers", () => {
  const scheduler = new Scheduler<string>({ copies: 2, agree: 2 });
  scheduler.join("a", 4);
  scheduler.add(0);
  expect(scheduler.take("a", 0)).toBe(0);
  expect(scheduler.take("a", 0)).toBeUndefined();
  scheduler.join("b", 4);
  expect(scheduler.take("b", 0)).toBe(0);
});

test("a task that is over is taken from those who still have it", () => {
  const scheduler = new Scheduler<string>({ copies: 3, agree: 2 });
  for (const name of ["a", "b", "c"]) scheduler.join(name, 1);
  scheduler.add(7);
  for (const name of ["a", "b", "c"]) expect(scheduler.take(name, 0)).toBe(7);
  const outcome = { kind: "value", value: Uint8Array.of(1) } as const;
  expect(scheduler.answer("a", 7, outcome, 5)).toBeUndefined();
  expect(scheduler.answer("b", 7, outcome, 5)).toMatchObject({ index: 7, stop: ["c"] });
  expect(scheduler.open).toBe(0);
  // It comes too late, and so does one that was never asked for.
  expect(scheduler.answer("c", 7, outcome, 6)).toBeUndefined();
  expect(scheduler.answer("c", 99, outcome, 6)).toBeUndefined();
  expect(scheduler.isRunning).toBe(false);
});

test("who was lost may come again and go on with what it had", () => {
  const scheduler = new Scheduler<string>({ copies: 1, agree: 1 });
  scheduler.add(0);
  scheduler.join("a", 1);
  expect(scheduler.take("a", 0)).toBe(0);
  scheduler.leave("a");
  scheduler.join("a", 1);
  expect(scheduler.take("a", 1)).toBe(0);
});

test("a liar is excluded at once and gets nothing more, not even when it comes again", () => {
  const scheduler = new Scheduler<string>({ copies: 1, agree: 1 });
  scheduler.add(0);
  scheduler.join("liar", 1);
  expect(scheduler.take("liar", 0)).toBe(0);
  scheduler.exclude("liar");
  scheduler.join("liar", 1);
  expect(scheduler.has("liar")).toBe(false);
  expect(scheduler.take("liar", 1)).toBeUndefined();
});

test("one of three lies in every answer: found out, and never believed", () => {
  const workers: SimulatedWorker[] = [
    { name: "a", taskMs: 20 },
    { name: "liar", taskMs: 1, lies: () => true },
    { name: "b", taskMs: 20 },
  ];
  const result = simulate(even(100), workers, { copies: 2, agree: 2 });
  expect(allRight(result)).toBe(true);
  expect(result.right.size).toBe(100);
  expect(result.wrong).toEqual(new Set(["liar"]));
  // A hundred inputs twice: what it said costs the honest nothing more.
  expect((result.done.get("a") ?? 0) + (result.done.get("b") ?? 0)).toBeLessThan(210);
});

test("fewer liars than must agree never get a wrong result taken, whatever else happens", () => {
  const worker = (name: string): fc.Arbitrary<SimulatedWorker> =>
    fc.record({
      name: fc.constant(name),
      slots: fc.integer({ min: 1, max: 4 }),
      taskMs: fc.integer({ min: 1, max: 200 }),
      rttMs: fc.integer({ min: 0, max: 200 }),
    });
  const scene = fc.integer({ min: 2, max: 3 }).chain((agree) =>
    fc.record({
      agree: fc.constant(agree),
      sizes: fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 1, maxLength: 40 }),
      honest: fc.tuple(...Array.from({ length: 2 * agree - 1 }, (_, i) => worker(`honest ${i}`))),
      liars: fc.array(worker("liar"), { maxLength: agree - 1 }),
      dying: fc.array(fc.tuple(worker("dying"), fc.integer({ min: 0, max: 1_000 })), { maxLength: 3 }),
      lieEvery: fc.integer({ min: 1, max: 4 }),
    }),
  );
  fc.assert(
    fc.property(scene, ({ agree, sizes, honest, liars, dying, lieEvery }) => {
      const workers: SimulatedWorker[] = [
        ...honest,
        ...liars.map((liar, i) => ({
          ...liar,
          name: `liar ${i}`,
          lies: (index: number) => index % lieEvery === 0,
        })),
        ...dying.map(([one, diesAtMs], i) => ({ ...one, name: `dying ${i}`, diesAtMs })),
      ];
      const result = simulate(sizes, workers, { copies: agree, agree });
      expect(result.split).toBe(0);
      expect(result.right.size).toBe(sizes.length);
      expect(allRight(result)).toBe(true);
      for (const name of result.wrong) expect(name).toMatch(/^liar/);
    }),
    { numRuns: 200 },
  );
});

test("what a liar said of other tasks counts no more: they are given to one more instead", () => {
  const scheduler = new Scheduler<string>({ copies: 2, agree: 2 });
  const said = { kind: "value", value: Uint8Array.of(1) } as const;
  for (const name of ["liar", "b", "c"]) scheduler.join(name, 1);
  scheduler.add(0);
  expect(scheduler.take("liar", 0)).toBe(0);
  expect(scheduler.take("b", 0)).toBe(0);
  expect(scheduler.answer("liar", 0, said, 1)).toBeUndefined();
  scheduler.exclude("liar");
  expect(scheduler.answer("b", 0, said, 2)).toBeUndefined();
  expect(scheduler.take("c", 2)).toBe(0);
  expect(scheduler.answer("c", 0, said, 3)).toMatchObject({ verdict: { kind: "agreed", by: ["b", "c"] } });
});
