/** Nothing passes twice, not even by a flood or a clock that is set back. */
import { expect, test } from "vitest";
import { REPLAY_AHEAD_MS, REPLAY_REMEMBERED_MAX, ReplayGuard } from "../../../peer/identity/replay-guard.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { CLOCK_SKEW_MS_MAX } from "../../../shared/limits.ts";

const NOW_MS = 1_800_000_000_000;

/** The code that taking this message ends with, or "taken". */
function take(guard: ReplayGuard, name: string, timeMs: number, nowMs = NOW_MS): string {
  try {
    guard.take(name, timeMs, nowMs);
    return "taken";
  } catch (error) {
    if (error instanceof PeerloomError) return error.code;
    throw error;
  }
}

test("a name passes once", () => {
  const guard = new ReplayGuard();
  expect(take(guard, "a", NOW_MS)).toBe("taken");
  expect(take(guard, "a", NOW_MS)).toBe("signal/replayed");
  expect(take(guard, "b", NOW_MS)).toBe("taken");
});

test("freshness ends at the allowed skew exactly, on both sides", () => {
  const guard = new ReplayGuard();
  expect(take(guard, "past", NOW_MS - CLOCK_SKEW_MS_MAX)).toBe("taken");
  expect(take(guard, "too old", NOW_MS - CLOCK_SKEW_MS_MAX - 1)).toBe("signal/stale");
  expect(take(guard, "future", NOW_MS + CLOCK_SKEW_MS_MAX)).toBe("taken");
  expect(take(guard, "too new", NOW_MS + CLOCK_SKEW_MS_MAX + 1)).toBe("signal/stale");
});

test("a flood forgets the oldest, which is stale then and not new again", () => {
  const guard = new ReplayGuard();
  expect(take(guard, "early", NOW_MS - 1000)).toBe("taken");
  for (let i = 0; i < REPLAY_REMEMBERED_MAX; i++)
    expect(take(guard, `flood ${i}`, NOW_MS + i / 4)).toBe("taken");
  expect(guard.remembered).toBe(REPLAY_REMEMBERED_MAX);
  expect(take(guard, "early", NOW_MS - 1000)).toBe("signal/stale");
  expect(take(guard, "flood 0", NOW_MS)).toBe("signal/replayed");
  expect(take(guard, "later", NOW_MS + 1)).toBe("taken");
  expect(guard.remembered).toBe(REPLAY_REMEMBERED_MAX);
});

test("what is past its freshness makes room first, and stays stale when the clock is set back", () => {
  const guard = new ReplayGuard();
  for (let i = 0; i < REPLAY_REMEMBERED_MAX; i++) take(guard, `old ${i}`, NOW_MS);
  const laterMs = NOW_MS + CLOCK_SKEW_MS_MAX + 1;
  expect(take(guard, "new", laterMs, laterMs)).toBe("taken");
  expect(guard.remembered).toBe(1);
  expect(take(guard, "old 0", NOW_MS, NOW_MS)).toBe("signal/stale");
});

test("a flood that is dated ahead keeps out what is dated ahead, and nothing else; none of it passes twice", () => {
  const guard = new ReplayGuard();
  const aheadMs = NOW_MS + CLOCK_SKEW_MS_MAX - 1_000;
  for (let i = 0; i < REPLAY_REMEMBERED_MAX; i++)
    expect(take(guard, `flood ${i}`, aheadMs + (i % 1_000))).toBe("taken");
  expect(take(guard, "honest", NOW_MS)).toBe("taken");
  expect(take(guard, "a little ahead", NOW_MS + REPLAY_AHEAD_MS)).toBe("taken");
  expect(take(guard, "far ahead", NOW_MS + REPLAY_AHEAD_MS + 1)).toBe("signal/stale");
  const laterMs = NOW_MS + CLOCK_SKEW_MS_MAX;
  for (let i = 0; i < REPLAY_REMEMBERED_MAX; i++) take(guard, `now ${i}`, laterMs, laterMs);
  expect(take(guard, "flood 0", aheadMs, laterMs)).toBe("signal/replayed");
  const pastMs = aheadMs + CLOCK_SKEW_MS_MAX + 1_001;
  expect(take(guard, "far ahead again", pastMs + CLOCK_SKEW_MS_MAX, pastMs)).toBe("taken");
});
