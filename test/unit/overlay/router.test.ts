/** A router by itself: where an answer goes on its way back. Whole networks: test/sim. */
import { expect, test } from "vitest";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import { LINK_BUDGETS, LinkTable } from "../../../peer/overlay/mesh/link-table.ts";
import { decodeMesh, type Reply } from "../../../peer/overlay/mesh/mesh-messages.ts";
import { Neighbour } from "../../../peer/overlay/mesh/neighbour.ts";
import { Router } from "../../../peer/overlay/mesh/router.ts";

const OWN = 1_000;
const [ASKER, BETWEEN, LAST] = [5_000, 6_000, 7_000] as const;

function scripted(...keys: number[]): {
  readonly router: Router;
  readonly clock: SyncClock;
  readonly at: (key: number) => Neighbour;
  readonly sent: { readonly to: number; readonly path: readonly number[] }[];
} {
  const clock = new SyncClock();
  const table = new LinkTable(OWN, LINK_BUDGETS.browser);
  for (const key of keys)
    table.add(new Neighbour({ key, contact: new Uint8Array(0), send: () => {}, close: () => {} }, 0));
  const sent: { to: number; path: readonly number[] }[] = [];
  const router = new Router({
    own: OWN,
    clock,
    random: seededRandom("router"),
    table,
    serve: () => false,
    passed: () => {},
    suspect: () => {},
    send: ({ key }, message) => {
      const reply = decodeMesh(message);
      if (reply.kind === "reply") sent.push({ to: key, path: reply.path });
    },
  });
  return { router, clock, sent, at: (key) => table.neighbours.get(key) as Neighbour };
}

function reply(path: readonly number[]): Reply {
  return {
    kind: "reply",
    mid: 1,
    origin: ASKER,
    path: [...path],
    hops: 3,
    found: true,
    body: new Uint8Array(0),
  };
}

test("an answer goes back along its path, over who is silent on it", () => {
  const { router, at, sent } = scripted(ASKER, BETWEEN, LAST);
  router.receiveReply(at(LAST), reply([ASKER, BETWEEN]));
  at(BETWEEN).suspectSinceMs = 0;
  router.receiveReply(at(LAST), reply([ASKER, BETWEEN]));
  expect(sent).toEqual([
    { to: BETWEEN, path: [ASKER] },
    { to: ASKER, path: [] },
  ]);
});

test("who asked and is linked gets its answer, even when it owes one itself", () => {
  const { router, at, sent } = scripted(ASKER, ASKER + 1, LAST);
  at(ASKER).suspectSinceMs = 0;
  router.receiveReply(at(LAST), reply([ASKER]));
  expect(sent).toEqual([{ to: ASKER, path: [] }]);
});

test("an answer to somebody without a link here goes to who is closest to it, and nowhere when that is this peer", () => {
  const { router, at, sent } = scripted(ASKER + 1, LAST);
  router.receiveReply(at(LAST), reply([ASKER]));
  expect(sent).toEqual([{ to: ASKER + 1, path: [] }]);
  const lonely = scripted(OWN + 2 ** 51);
  lonely.router.receiveReply(lonely.at(OWN + 2 ** 51), reply([ASKER]));
  expect(lonely.sent).toEqual([]);
  expect(lonely.router.dropped).toBe(1);
});
