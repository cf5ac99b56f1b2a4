/** Which neighbour a table gives up. Tables that fill: test/sim. */
import { expect, test } from "vitest";
import { LinkTable } from "../../../peer/overlay/mesh/link-table.ts";
import { Neighbour } from "../../../peer/overlay/mesh/neighbour.ts";

const NOW_MS = 60_000;

/** A table of own key 0, with siblings close by and ten neighbours in the farthest bucket. */
function crowded(): { readonly table: LinkTable; readonly far: readonly Neighbour[] } {
  const table = new LinkTable(0, { target: 12, max: 14 });
  const add = (key: number): Neighbour => {
    const neighbour = new Neighbour({ key, contact: new Uint8Array(0), send: () => {}, close: () => {} }, 0);
    table.add(neighbour);
    return neighbour;
  };
  for (let key = 1; key <= 8; key++) add(key);
  const far = Array.from({ length: 10 }, (_, i) => add(2 ** 51 + i));
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
