/** One tab at a time has the kept identity, and a page that comes back is told so only when it has it again. */
import { setImmediate } from "node:timers/promises";
import { beforeEach, expect, test, vi } from "vitest";
import { Turn } from "../../../peer/adapters/browser/turn.ts";
import type { LifecycleEvents } from "../../../peer/runtime.ts";

const EDGE = "https://edge.example";

/** A browser's locks, as far as they are used: held until the callback's promise is settled. */
function fakeLocks(): Pick<LockManager, "request"> {
  const held = new Set<string>();
  const request = async (
    name: string,
    _: LockOptions,
    callback: (lock: Lock | null) => unknown,
  ): Promise<unknown> => {
    await setImmediate();
    if (held.has(name)) return callback(null);
    held.add(name);
    try {
      return await callback({ name, mode: "exclusive" });
    } finally {
      held.delete(name);
    }
  };
  return { request: request as LockManager["request"] };
}

beforeEach(() => {
  vi.stubGlobal("navigator", { locks: fakeLocks() });
  return () => vi.unstubAllGlobals();
});

/** What was asked for is answered. */
async function settle(): Promise<void> {
  for (let turns = 0; turns < 5; turns++) await setImmediate();
}

/** A page whose peer has the identity, until another tab may take it. */
async function openPage(network: string): Promise<{
  readonly turn: Turn;
  readonly told: string[];
  readonly page: LifecycleEvents;
}> {
  const turn = await Turn.take(EDGE, network);
  if (turn === undefined) throw new Error("another tab has it");
  const told: string[] = [];
  const page: { events?: LifecycleEvents } = {};
  const host = turn.guard({
    watch: (events) => {
      page.events = events;
      return () => {};
    },
  });
  host?.watch({ away: () => told.push("away"), back: () => told.push("back") });
  turn.lost.then(() => told.push("lost")).catch(() => {});
  if (page.events === undefined) throw new Error("nobody watches");
  return { turn, told, page: page.events };
}

test("a page that comes back has its identity before its peer is told", async () => {
  const { turn, told, page } = await openPage("kept");
  page.back();
  expect(told).toEqual(["back"]);
  page.away(false);
  await settle();
  page.back();
  page.back();
  expect(told).toEqual(["back", "away"]);
  await settle();
  expect(told).toEqual(["back", "away", "back"]);
  expect(await Turn.take(EDGE, "kept")).toBeUndefined();
  page.back();
  expect(told).toEqual(["back", "away", "back", "back"]);
  turn.end();
  await settle();
  expect(await Turn.take(EDGE, "kept")).toBeDefined();
});

test("one whose identity another tab has by then is never told that it is back", async () => {
  const { told, page } = await openPage("taken");
  page.away(false);
  await settle();
  const other = await Turn.take(EDGE, "taken");
  page.back();
  await settle();
  expect(told).toEqual(["away", "lost"]);
  other?.end();
});

test("one that is put away while it asks, or closed then, holds nothing", async () => {
  const { turn, told, page } = await openPage("between");
  page.away(false);
  await settle();
  page.back();
  page.away(false);
  await settle();
  expect(told).toEqual(["away", "away"]);
  page.back();
  turn.end();
  await settle();
  const other = await Turn.take(EDGE, "between");
  expect(other).toBeDefined();
  expect(told).toEqual(["away", "away"]);
  other?.end();
});
