/** What is offered to a neighbour, and how often. Real holders: test/sim. */
import { expect, test } from "vitest";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import type { RecordNote } from "../../../peer/services/records/protocol.ts";
import { Shelf } from "../../../peer/services/records/shelf.ts";
import { Upkeep } from "../../../peer/services/records/upkeep.ts";

const NEIGHBOUR = 7;
const HOUR_MS = 3_600_000;

/** Looks after so many records, with one neighbour. */
function lookAfter(records: number, options: { readonly takes?: () => boolean } = {}) {
  const random = seededRandom(4);
  const clock = new SyncClock();
  const shelf = new Shelf(1);
  for (let i = 0; i < records; i++) {
    const expiresAtMs = clock.nowMs() + 20 * HOUR_MS;
    shelf.put(
      { kind: "immutable", key: random.bytes(32), expiresAtMs, value: new Uint8Array(1) },
      clock.nowMs(),
    );
  }
  const told: RecordNote[] = [];
  const upkeep = new Upkeep({
    mesh: { closest: () => [NEIGHBOUR], rankOf: () => 0, has: () => true },
    clock,
    random,
    shelf,
    tell: (_, note) => told.push(note),
    wants: () => true,
    takes: options.takes ?? (() => true),
  });
  const slots = [...shelf.entries()].map(({ slot }) => slot);
  const drain = (kind: RecordNote["kind"]): number =>
    told.splice(0).filter((note) => note.kind === kind).length;
  return { clock, shelf, upkeep, slots, drain, told };
}

test("what a neighbour was given is offered again until it says that it holds it, then no more", () => {
  const { clock, upkeep, slots, drain } = lookAfter(1);
  clock.advance(40_000);
  expect(drain("offer")).toBe(1);
  upkeep.takeWant(NEIGHBOUR, { kind: "want", slots, held: [] });
  expect(drain("push")).toBe(1);
  clock.advance(40_000);
  expect(drain("offer")).toBe(1);
  upkeep.takeWant(NEIGHBOUR, { kind: "want", slots: [], held: slots });
  clock.advance(HOUR_MS);
  expect(drain("offer")).toBe(0);
});

test("one that wants and never keeps is given it ever more rarely", () => {
  const { clock, upkeep, slots, drain, told } = lookAfter(1);
  let given = 0;
  for (let i = 0; i < 10 * 120; i++) {
    clock.advance(30_000);
    const isOffered = told.some(({ kind }) => kind === "offer");
    if (isOffered) upkeep.takeWant(NEIGHBOUR, { kind: "want", slots, held: [] });
    given += drain("push");
  }
  expect(given).toBeGreaterThan(4);
  expect(given).toBeLessThan(9);
});

test("one that wants more than it takes is given the rest later", () => {
  let room = 2;
  const { clock, upkeep, slots, drain } = lookAfter(5, { takes: () => room-- > 0 });
  upkeep.takeWant(NEIGHBOUR, { kind: "want", slots, held: [] });
  expect(drain("push")).toBe(2);
  room = 5;
  clock.advance(40_000);
  upkeep.takeWant(NEIGHBOUR, { kind: "want", slots: slots.slice(2), held: slots.slice(0, 2) });
  expect(drain("push")).toBe(3);
});
