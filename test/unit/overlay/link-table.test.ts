/** Which neighbour a table gives up. Tables that fill: test/sim. */
import { expect, test } from "vitest";
import { LinkTable } from "../../../peer/overlay/mesh/link-table.ts";
import { Neighbour } from "../../../peer/overlay/mesh/neighbour.ts";

const NOW_MS = 60_000;

function add(table: LinkTable, key: number, prefix?: string, sinceMs = 0): Neighbour {
  const link = { key, prefix, contact: new Uint8Array(0), send: () => {}, close: () => {} };
  const neighbour = new Neighbour(link, sinceMs);
  table.add(neighbour);
  return neighbour;
}

/** A table of own key 0, with siblings close by and ten neighbours in the farthest bucket. */
function crowded(): { readonly table: LinkTable; readonly far: readonly Neighbour[] } {
  const table = new LinkTable(0, { target: 12, max: 14 });
  for (let key = 1; key <= 8; key++) add(table, key);
  const far = Array.from({ length: 10 }, (_, i) => add(table, 2 ** 51 + i));
  for (const [i, neighbour] of far.entries()) {
    neighbour.measured(20 + i);
    // Enough that are closer to it than this peer, so that nobody here is its sibling.
    for (let near = 0; near < 8; near++)
      neighbour.digest.set({ key: 2 ** 51 + 100 + near, rttMs: 10, x: 0, y: 0, height: 1 });
  }
  return { table, far };
}

test("the farthest in time of the fullest bucket goes", () => {
  const { table, far } = crowded();
  expect(table.surplus(NOW_MS)).toBe(far[9]);
});

test("one that a request has just passed stays while there is another, since the answer may come back over it", () => {
  const { table, far } = crowded();
  (far[9] as Neighbour).usedAtMs = NOW_MS - 200;
  expect(table.surplus(NOW_MS)).toBe(far[8]);
  for (const neighbour of far) neighbour.usedAtMs = NOW_MS - 200;
  expect(table.surplus(NOW_MS)).toBe(far[9]);
});

test("who says that it knows nobody closer to itself is kept for that among the closest here, and nowhere else", () => {
  const { table, far } = crowded();
  const says = (neighbour: Neighbour): void => {
    for (const key of [...neighbour.digest.keys]) neighbour.digest.delete(key);
  };
  says(far[9] as Neighbour);
  expect(table.surplus(NOW_MS)).toBe(far[9]);
  // The eight siblings, and eight more that may have this peer among theirs.
  says(far[7] as Neighbour);
  table.delete((far[9] as Neighbour).key);
  table.delete((far[8] as Neighbour).key);
  expect(table.surplus(NOW_MS)).toBe(far[6]);
});

test("a crowd at one prefix goes first, however young it is and whatever it says, down to two", () => {
  const { table, far } = crowded();
  const crowd = [20, 21, 22, 23].map((i) => add(table, 2 ** 50 + i, "203.0.113.0/24", NOW_MS - 1));
  add(table, 2 ** 50 + 30, "198.51.100.0/24", NOW_MS - 1);
  for (const neighbour of crowd) neighbour.usedAtMs = NOW_MS;
  const gone: (Neighbour | undefined)[] = [];
  for (let i = 0; i < 3; i++) {
    const surplus = table.surplus(NOW_MS) as Neighbour;
    gone.push(surplus);
    table.delete(surplus.key);
  }
  expect(crowd).toEqual(expect.arrayContaining(gone.slice(0, 2)));
  expect(gone[2]).toBe(far[9]);
});

test("a full table has room for two of one prefix, and for its share of newcomers and closest", () => {
  const table = new LinkTable(0, { target: 32, max: 40 });
  const prefix = "203.0.113.0/24";
  for (let i = 0; i < 36; i++) add(table, 2 ** 50 + i);
  const [far, near] = [2 ** 51, 1];
  expect(table.hasRoom(far, false, prefix)).toBe(true);
  add(table, 2 ** 51 + 1, prefix);
  expect(table.hasRoom(far, false, prefix)).toBe(true);
  add(table, 2 ** 51 + 2, prefix);
  expect(table.hasRoom(far, false, prefix)).toBe(false);
  expect(table.hasRoom(far, false)).toBe(true);
  for (let i = 3; i <= 12; i++) {
    expect(table.hasRoom(far, true, prefix)).toBe(true);
    expect(table.hasRoom(near, false, prefix)).toBe(true);
    add(table, 2 ** 51 + i, prefix);
    if (table.size > 40) table.delete(2 ** 50 + i);
  }
  expect(table.hasRoom(far, true, prefix)).toBe(false);
  expect(table.hasRoom(near, false, prefix)).toBe(false);
});
