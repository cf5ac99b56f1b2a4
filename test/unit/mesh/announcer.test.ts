/** What neighbours are told of many that go at once. */
import { expect, test } from "vitest";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import { Announcer } from "../../../peer/overlay/mesh/announcer.ts";
import { OwnCoordinate } from "../../../peer/overlay/mesh/coordinate.ts";
import { LINK_BUDGETS, LinkTable } from "../../../peer/overlay/mesh/link-table.ts";
import { decodeMesh, type MeshMessage } from "../../../peer/overlay/mesh/mesh-messages.ts";
import { Neighbour } from "../../../peer/overlay/mesh/neighbour.ts";

test("each of three hundred that go at once is told of, in messages that older peers take", () => {
  const clock = new SyncClock();
  const table = new LinkTable(0, LINK_BUDGETS.browser);
  table.add(new Neighbour({ key: 7, contact: new Uint8Array(0), send: () => {}, close: () => {} }, 0));
  const told: MeshMessage[] = [];
  const announcer = new Announcer({
    clock,
    table,
    place: new OwnCoordinate(seededRandom("announcer")),
    send: (_, message) => told.push(decodeMesh(message)),
  });
  for (let key = 1_000; key < 1_300; key++) announcer.gone(key);
  clock.advance(200);
  const gone = told.map((message) => (message.kind === "delta" ? message.gone : []));
  expect(gone.map(({ length }) => length)).toEqual([128, 128, 44]);
  expect(new Set(gone.flat()).size).toBe(300);
});
