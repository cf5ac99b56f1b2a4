/** Slots, time limits and turns of a working peer, on virtual time with sandboxes that do as they are told. */
import { expect, onTestFinished, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { ModuleCache } from "../../../peer/services/compute/module-cache.ts";
import type { Outcome } from "../../../peer/services/compute/outcome.ts";
import { type Lane, SandboxPool, type SandboxTask } from "../../../peer/services/compute/sandbox-pool.ts";
import { FakeSandboxes } from "./fake-sandboxes.ts";

class Asker implements Lane {
  readonly tasks: SandboxTask[];
  readonly outcomes: Outcome[] = [];
  readonly finishedAtMs: number[] = [];

  constructor(clock: SimClock, inputs: readonly number[], key = "module", taskMs = 1_000) {
    this.tasks = inputs.map((input) => ({
      module: { key, bytes: new Uint8Array(8), memoryPages: 1 },
      input: Uint8Array.of(input),
      taskMs,
      finish: (outcome) => {
        this.outcomes.push(outcome);
        this.finishedAtMs.push(clock.monotonicMs());
      },
    }));
  }

  take(): SandboxTask | undefined {
    return this.tasks.shift();
  }
}

function setUp(slots: number): { clock: SimClock; host: FakeSandboxes; pool: SandboxPool } {
  const clock = new SimClock();
  onTestFinished(() => clock.close());
  const host = new FakeSandboxes(clock);
  return { clock, host, pool: new SandboxPool(host, clock, slots) };
}

test("as many run at once as there are slots, and each sandbox loads a module once", async () => {
  const { clock, host, pool } = setUp(2);
  const asker = new Asker(clock, [10, 10, 10, 10]);
  pool.add(asker);
  pool.wake();
  await clock.advance(1_000);
  expect(asker.finishedAtMs).toEqual([100, 100, 200, 200]);
  expect(host).toMatchObject({ started: 2, loads: 2 });
});

test("a task that takes too long loses its sandbox, and the slot goes on with another", async () => {
  const { clock, host, pool } = setUp(1);
  const asker = new Asker(clock, [255, 1]);
  pool.add(asker);
  pool.wake();
  await clock.advance(1_500);
  expect(asker.outcomes).toMatchObject([{ kind: "failure", code: "compute/time-limit" }, { kind: "value" }]);
  expect(asker.finishedAtMs).toEqual([1_000, 1_010]);
  expect(host).toMatchObject({ started: 2, alive: 1 });
});

test("askers take turns: one that has much to do does not hold up one that has little", async () => {
  const { clock, pool } = setUp(1);
  const long = new Asker(
    clock,
    Array.from({ length: 50 }, () => 10),
  );
  const short = new Asker(clock, [10, 10]);
  pool.add(long);
  pool.wake();
  await clock.advance(50);
  pool.add(short);
  pool.wake();
  await clock.advance(1_000);
  // The one that ran, the one whose turn it was, and from then on every second.
  expect(short.finishedAtMs).toEqual([300, 500]);
});

test("a dropped task is given a moment, then its sandbox is ended", async () => {
  const { clock, host, pool } = setUp(2);
  const asker = new Asker(clock, [255, 5]);
  const [endless, brief] = asker.tasks as [SandboxTask, SandboxTask];
  pool.add(asker);
  pool.wake();
  pool.drop(endless);
  pool.drop(brief);
  await clock.advance(60);
  expect(host.alive).toBe(2);
  await clock.advance(60);
  expect(host.alive).toBe(1);
});

test("sandboxes that nobody needs are ended, and start again", async () => {
  const { clock, host, pool } = setUp(2);
  await pool.warm(new Uint8Array(8));
  expect(host.alive).toBe(1);
  await clock.advance(31_000);
  expect(host.alive).toBe(0);
  const asker = new Asker(clock, [1]);
  pool.add(asker);
  pool.wake();
  await clock.advance(100);
  expect(asker.outcomes).toHaveLength(1);
  await pool.close();
  expect(host.alive).toBe(0);
  expect(clock.timersPending).toBe(0);
});

test("another module is loaded where it must be, and where it is loaded it runs", async () => {
  const { clock, host, pool } = setUp(2);
  const [a, b] = [new Asker(clock, [1], "a"), new Asker(clock, [1], "b")];
  for (const asker of [a, b]) pool.add(asker);
  pool.wake();
  await clock.advance(100);
  expect(host.loads).toBe(2);
  b.tasks.push(...new Asker(clock, [1], "b").tasks);
  pool.wake();
  await clock.advance(100);
  expect(host).toMatchObject({ loads: 2, started: 2 });
});

test("the cache of modules is bounded, and forgets what was used longest ago", () => {
  const cache = new ModuleCache();
  const module = new Uint8Array(4 * 1024 * 1024);
  for (const name of ["a", "b", "c", "d", "e", "f", "g", "h"]) cache.set(name, module);
  expect(cache.get("a")).toBe(module);
  cache.set("i", module);
  expect(cache.get("b")).toBeUndefined();
  expect(cache.get("a")).toBe(module);
  for (let i = 0; i < 100; i++) cache.set(`small ${i}`, new Uint8Array(8));
  expect(cache.get("small 0")).toBeUndefined();
  expect(cache.get("small 99")).toHaveLength(8);
});
