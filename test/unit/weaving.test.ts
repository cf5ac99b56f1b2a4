/** When a page loads what goes on around its sessions: after connecting, when it is needed, again when it could not be loaded. */
import { expect, test } from "vitest";
import { SimClock } from "../../peer/adapters/sim/clock.ts";
import { seededRandom } from "../../peer/adapters/sim/random.ts";
import type { Woven } from "../../peer/api/weave.ts";
import { Weaving } from "../../peer/api/weaving.ts";

const WOVEN = {} as Woven;

/** @param failures how often the code cannot be loaded at first */
function weaving(isLate: boolean, failures = 0): { clock: SimClock; made: Weaving; loadsMs: number[] } {
  const clock = new SimClock();
  const loadsMs: number[] = [];
  const made = new Weaving({
    runtime: { clock, random: seededRandom(7), log: { debug() {}, warn() {} } },
    isLate,
    make: async () => {
      loadsMs.push(clock.monotonicMs());
      if (loadsMs.length <= failures) throw new Error("no edge");
      return WOVEN;
    },
  });
  return { clock, made, loadsMs };
}

test("code at hand is used at once, and its failure is told", async () => {
  const { made, loadsMs } = weaving(false);
  expect(await made.begin()).toBe(WOVEN);
  expect(loadsMs).toEqual([0]);
  await expect(weaving(false, 1).made.begin()).rejects.toThrow("no edge");
});

test("a late one waits a second, or until it is needed", async () => {
  const waiting = weaving(true);
  const begun = waiting.made.begin();
  await waiting.clock.advance(999);
  expect(waiting.loadsMs).toEqual([]);
  await waiting.clock.advance(1);
  expect(await begun).toBe(WOVEN);
  expect(waiting.loadsMs).toEqual([1_000]);

  const needed = weaving(true);
  const both = [needed.made.begin(), needed.made.need()];
  await needed.clock.advance(0);
  expect(await Promise.all(both)).toEqual([WOVEN, WOVEN]);
  expect(needed.loadsMs).toEqual([0]);
});

test("what could not be loaded is tried again, more and more rarely", async () => {
  const { clock, made, loadsMs } = weaving(true, 8);
  const needed = made.need();
  await clock.advance(600_000);
  expect(await needed).toBe(WOVEN);
  expect(loadsMs).toHaveLength(9);
  const pausesMs = loadsMs.slice(1).map((ms, i) => ms - (loadsMs[i] ?? 0));
  expect(Math.max(...pausesMs)).toBeGreaterThan(10_000);
});

test("nobody who gave up or is closed waits on", async () => {
  const { clock, made, loadsMs } = weaving(true, 1);
  const stop = new AbortController();
  const waiting = made.need(stop.signal);
  const begun = made.begin();
  stop.abort(new Error("given up"));
  await expect(waiting).rejects.toMatchObject({ code: "aborted" });
  made.close();
  await clock.advance(60_000);
  await expect(begun).rejects.toMatchObject({ code: "peer/closed" });
  expect(loadsMs.length).toBeLessThanOrEqual(1);
});
