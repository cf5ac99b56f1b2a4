/** Which chunk next, from whom: each once, what a lost source had goes to others, and nobody gets more than it can do. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Scheduler, type SourceState } from "../../../peer/services/files/scheduler.ts";

const CHUNK = 256 * 1024;

function takeAll(scheduler: Scheduler, source: SourceState): number[] {
  const taken: number[] = [];
  for (let index = scheduler.take(source); index !== undefined; index = scheduler.take(source))
    taken.push(index);
  return taken;
}

test("a new source gets two mebibytes to do, in order, and more when it delivers fast", () => {
  const scheduler = new Scheduler(1_000, CHUNK);
  const source = scheduler.newSource();
  expect(takeAll(scheduler, source)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  let nowMs = 0;
  for (let index = 0; index < 8; index++) {
    scheduler.delivered(source, index, CHUNK, (nowMs += 2));
    scheduler.done(index);
  }
  expect(takeAll(scheduler, source).length).toBeGreaterThan(8);
});

test("what a lost source had under way goes to the others first", () => {
  const scheduler = new Scheduler(20, CHUNK);
  const [lost, other] = [scheduler.newSource(), scheduler.newSource()];
  expect(takeAll(scheduler, lost)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  scheduler.delivered(lost, 3, CHUNK, 1);
  scheduler.done(3);
  scheduler.dropped(lost);
  expect(takeAll(scheduler, other)).toEqual([0, 1, 2, 4, 5, 6, 7, 8]);
});

test("a reader in order is not left behind", () => {
  const scheduler = new Scheduler(100, CHUNK);
  const source = scheduler.newSource();
  expect(scheduler.take(source, 2)).toBe(0);
  expect(scheduler.take(source, 2)).toBe(1);
  expect(scheduler.take(source, 2)).toBeUndefined();
  expect(scheduler.take(source, 3)).toBe(2);
});

test("whatever the sources do, every chunk is stored once and the end is reached", () => {
  const step = fc.record({ source: fc.nat(2), what: fc.constantFrom("deliver", "corrupt", "drop") });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.array(step, { maxLength: 200 }), (count, steps) => {
      const scheduler = new Scheduler(count, CHUNK);
      const sources = [scheduler.newSource(), scheduler.newSource(), scheduler.newSource()];
      const stored: number[] = [];
      let nowMs = 0;
      const act = (source: SourceState, what: string): void => {
        takeAll(scheduler, source);
        const [index] = source.pending;
        if (what === "drop") scheduler.dropped(source);
        else if (index !== undefined) {
          scheduler.delivered(source, index, CHUNK, (nowMs += 1));
          if (what === "corrupt") scheduler.retry(index);
          else if (scheduler.done(index)) stored.push(index);
        }
      };
      for (const { source, what } of steps) act(sources[source] as SourceState, what);
      for (const lost of sources.slice(1)) scheduler.dropped(lost);
      for (let left = 0; left < 4 * count && !scheduler.isComplete; left++)
        act(sources[0] as SourceState, "deliver");
      expect(scheduler.isComplete).toBe(true);
      expect(stored.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, index) => index));
    }),
  );
});
