import { expect, test } from "vitest";
import type { Clock } from "../../../peer/runtime.ts";
import { SLEPT_MS, WakeWatch } from "../../../peer/overlay/wake-watch.ts";

/** A clock on which the test lets the one timer fire, at what time by either clock it likes. */
function watched(slackMs = 0): {
  fire: (passed: { readonly wallMs: number; readonly monotonicMs: number }) => readonly number[];
  pending: () => number;
  stop: () => void;
} {
  let [wallMs, monotonicMs] = [1_000_000, 0];
  const timers = new Set<() => void>();
  const clock: Clock = {
    slackMs,
    nowMs: () => wallMs,
    monotonicMs: () => monotonicMs,
    setTimer(_delayMs, callback) {
      timers.add(callback);
      return { cancel: () => timers.delete(callback) };
    },
    sleep: () => Promise.reject(new Error("not used")),
    defer() {},
  };
  const wakes: number[] = [];
  const watch = new WakeWatch(clock, (sleptMs) => wakes.push(sleptMs));
  return {
    fire(passed) {
      wallMs += passed.wallMs;
      monotonicMs += passed.monotonicMs;
      for (const callback of [...timers]) {
        timers.delete(callback);
        callback();
      }
      return wakes.splice(0);
    },
    pending: () => timers.size,
    stop: () => watch.stop(),
  };
}

test("a process that was stopped, and a machine whose monotonic clock stood still in its sleep, have slept", () => {
  const { fire } = watched();
  expect(fire({ wallMs: 2_000, monotonicMs: 2_000 })).toEqual([]);
  expect(fire({ wallMs: 302_000, monotonicMs: 302_000 })).toEqual([300_000]);
  expect(fire({ wallMs: 302_000, monotonicMs: 2_000 })).toEqual([300_000]);
  expect(fire({ wallMs: 2_000, monotonicMs: 2_000 })).toEqual([]);
});

test("a busy machine, a wall clock that is set back and a hidden page's late timers are no sleep", () => {
  expect(watched().fire({ wallMs: 2_000 + SLEPT_MS, monotonicMs: 2_000 + SLEPT_MS })).toEqual([]);
  expect(watched().fire({ wallMs: -60_000, monotonicMs: 2_000 })).toEqual([]);
  expect(watched(1_000).fire({ wallMs: SLEPT_MS + 2_900, monotonicMs: SLEPT_MS + 2_900 })).toEqual([]);
});

test("stopped, it leaves no timer", () => {
  const { fire, pending, stop } = watched();
  fire({ wallMs: 2_000, monotonicMs: 2_000 });
  expect(pending()).toBe(1);
  stop();
  expect(pending()).toBe(0);
});
