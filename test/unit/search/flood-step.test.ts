/** The decision where a question goes, step by step, and what must hold whatever the others answer. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ASKS_MAX,
  beginFlood,
  type FloodEffect,
  type FloodNeighbour,
  type FloodState,
  MATCHES_MAX,
  stepFlood,
} from "../../../peer/services/search/flood-step.ts";

const plain = (...ids: string[]): FloodNeighbour[] => ids.map((id) => ({ id, matches: false }));
const matching = (...ids: string[]): FloodNeighbour[] => ids.map((id) => ({ id, matches: true }));
const asks = (effects: readonly FloodEffect[]): string[] =>
  effects.flatMap((effect) => (effect.kind === "ask" ? [`${effect.id}:${effect.budget}/${effect.ttl}`] : []));
const rest = (effects: readonly FloodEffect[]): string[] =>
  effects.flatMap((effect) => (effect.kind === "ask" ? [] : [effect.kind]));

describe("a question", () => {
  test("goes to all whose digest matches, and to a few by chance where these are fewer; with enough it ends", () => {
    const few = beginFlood([...plain("a", "b", "c", "d"), ...matching("m", "n")], { ttl: 3, budget: 31 }, 2);
    expect(asks(few.effects)).toEqual(["m:10/2", "n:10/2", "a:10/2"]);
    const many = beginFlood([...plain("a"), ...matching("m", "n", "o", "p", "q")], { ttl: 3, budget: 31 }, 2);
    expect(asks(many.effects)).toEqual(["m:6/2", "n:6/2", "o:6/2", "p:6/2", "q:6/2"]);
    // With one to spare only a match is worth it.
    expect(
      asks(beginFlood([...plain("a"), ...matching("m", "n")], { ttl: 3, budget: 2 }, 2).effects),
    ).toEqual(["m:1/2"]);
    expect(asks(beginFlood(plain("a", "b"), { ttl: 3, budget: 2 }, 2).effects)).toEqual([]);
    const found = stepFlood(few.state, { kind: "found", count: 1 });
    expect(found.effects).toEqual([]);
    const enough = stepFlood(found.state, { kind: "found", count: 1 });
    expect(rest(enough.effects)).toEqual(["drop", "drop", "drop", "end"]);
    expect(enough.state.phase).toBe("over");
  });

  test("is answered at once by whoever has enough, may not pass it on, or has nobody", () => {
    for (const { effects } of [
      beginFlood(plain("a"), { ttl: 3, budget: 9 }, 0),
      beginFlood(matching("a"), { ttl: 0, budget: 9 }, 5),
      beginFlood(matching("a"), { ttl: 3, budget: 1 }, 5),
      beginFlood([], { ttl: 3, budget: 9 }, 5),
    ])
      expect(effects).toEqual([{ kind: "end", touched: 1 }]);
  });

  test("that had been somewhere before takes its part elsewhere", () => {
    const begun = beginFlood(plain("a", "b", "c", "d"), { ttl: 2, budget: 31 }, 5);
    expect(asks(begun.effects)).toEqual(["a:10/1", "b:10/1", "c:10/1"]);
    const again = stepFlood(begun.state, { kind: "ended", id: "b", touched: 0 });
    expect(asks(again.effects)).toEqual(["d:10/1"]);
    const late = stepFlood(again.state, { kind: "ended", id: "b", touched: 10 });
    expect(late).toEqual({ state: again.state, effects: [] });
  });

  test("whose time is over ends with what is open counted as touched", () => {
    const begun = beginFlood(plain("a", "b"), { ttl: 2, budget: 11 }, 5);
    const stopped = stepFlood(begun.state, { kind: "stopped" });
    expect(stopped.effects.at(-1)).toEqual({ kind: "end", touched: 11 });
    expect(stepFlood(stopped.state, { kind: "stopped" }).effects).toEqual([]);
  });
});

test("whatever the others answer: nobody is asked twice, no more is given than there is, and it ends", () => {
  const neighbours = fc.uniqueArray(fc.record({ id: fc.nat(60).map(String), matches: fc.boolean() }), {
    selector: ({ id }) => id,
    maxLength: 60,
  });
  const reach = fc.record({ ttl: fc.nat(8), budget: fc.integer({ min: 1, max: 128 }) });
  fc.assert(
    fc.property(neighbours, reach, fc.infiniteStream(fc.nat(140)), (others, { ttl, budget }, numbers) => {
      const asked = new Set<string>();
      let given = 0;
      let ends = 0;
      let state: FloodState;
      const next = (): number => numbers.next().value ?? 0;
      const check = (effects: readonly FloodEffect[]): void => {
        for (const effect of effects) {
          if (effect.kind === "end") {
            ends += 1;
            expect(effect.touched).toBeLessThanOrEqual(budget);
          }
          if (effect.kind !== "ask") continue;
          expect(asked.has(effect.id)).toBe(false);
          asked.add(effect.id);
          given += effect.budget;
          expect(effect.ttl).toBeLessThan(Math.max(ttl, 1));
          expect(effect.budget).toBeGreaterThan(0);
        }
        const open = [...state.open.values()].reduce((sum, part) => sum + part, 0);
        if (state.phase !== "over") expect(state.touched + state.spare + open).toBe(budget);
      };
      const begun = beginFlood(others, { ttl, budget }, 50);
      state = begun.state;
      check(begun.effects);
      for (let i = 0; i < 200 && state.phase !== "over"; i++) {
        const open = [...state.open.keys()];
        const id = open[next() % Math.max(1, open.length)] ?? "nobody";
        const event =
          next() % 10 === 0
            ? ({ kind: "found", count: next() % 5 } as const)
            : ({ kind: "ended", id, touched: next() % 3 === 0 ? 0 : next() } as const);
        const step = stepFlood(state, event);
        state = step.state;
        check(step.effects);
      }
      expect(state.phase).toBe("over");
      expect(ends).toBe(1);
      expect(asked.size).toBeLessThanOrEqual(ASKS_MAX);
      expect(given).toBeLessThanOrEqual(2 * (budget - 1));
    }),
  );
  expect(MATCHES_MAX).toBeLessThan(ASKS_MAX);
});
