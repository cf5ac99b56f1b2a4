import { expect, test } from "vitest";
import { Patience } from "../../peer/services/patience.ts";

test("time in which nobody looked, as in a machine's sleep, counts for ten seconds at most", () => {
  let nowMs = 1_000;
  const patience = new Patience({ monotonicMs: () => nowMs });
  const after = (ms: number): number => {
    nowMs += ms;
    return patience.waitedMs();
  };
  expect([after(300), after(700), after(3_600_000), after(500)]).toEqual([300, 1_000, 11_000, 11_500]);
  nowMs += 5_000;
  patience.reset();
  expect(after(200)).toBe(200);
});
