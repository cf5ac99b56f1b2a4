/** Which entries next, from whom: each once, none left out, what is given back again. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { AHEAD_ENTRIES_MAX, type Want, Wants } from "../../../peer/services/feeds/wants.ts";

const places = ({ from, to }: Want): readonly [number, number] => [from, to];

test("parts end at the same places for everybody, and nobody is asked for what another is asked for", () => {
  const wants = new Wants();
  const take = (here: number, there: number): readonly [number, number] | undefined => {
    const want = wants.take([{ writer: 0, here, there }]);
    return want && places(want);
  };
  expect(take(10, 1_000)).toEqual([10, 256]);
  expect(take(10, 1_000)).toEqual([256, 512]);
  expect(take(10, 600)).toEqual([512, 600]);
  expect(take(10, 600)).toBeUndefined();
  expect(take(10, 1_000)).toEqual([600, 768]);
});

test("what was given back comes first, and what came short is filled", () => {
  const wants = new Wants();
  const offers = [{ writer: 0, here: 0, there: 2_000 }];
  const first = wants.take(offers) as Want;
  wants.take(offers);
  wants.release(first);
  wants.cover({ writer: 0, from: 0, to: 100 });
  expect(places(wants.take(offers) as Want)).toEqual([100, 256]);
});

test("writers take turns; nothing is asked for too far ahead, or out of turn when too much waits", () => {
  const wants = new Wants();
  const offers = [0, 1, 2].map((writer) => ({ writer, here: 0, there: 10 ** 6 }));
  expect([1, 2, 3].map(() => wants.take(offers)?.writer)).toEqual([0, 1, 2]);
  expect(wants.take(offers, true)).toBeUndefined();
  let last = 0;
  for (let want = wants.take(offers); want !== undefined; want = wants.take(offers))
    last = Math.max(last, want.to);
  expect(last).toBe(AHEAD_ENTRIES_MAX);
});

test("whatever comes, is lost or comes short, in the end everything was fetched, and nothing twice at one time", () => {
  const step = fc.constantFrom("all", "some", "nothing");
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3_000 }), fc.array(step, { maxLength: 60 }), (count, steps) => {
      const wants = new Wants();
      const have = new Uint8Array(count);
      let here = 0;
      for (let i = 0; here < count; i++) {
        const want = wants.take([{ writer: 0, here, there: count }]);
        if (want === undefined) throw new Error(`stuck at ${here}`);
        const outcome = steps[i] ?? "all";
        const to = outcome === "all" ? want.to : outcome === "some" ? want.from + 1 : want.from;
        for (let seq = want.from; seq < to; seq++) {
          expect(have[seq]).toBe(0);
          have[seq] = 1;
        }
        wants.release(want);
        if (to > want.from) wants.cover({ ...want, to });
        while (here < count && have[here] === 1) here += 1;
      }
    }),
  );
});
