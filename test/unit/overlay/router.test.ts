/** A router by itself: where an answer goes on its way back. Whole networks: test/sim. */
import { expect, test } from "vitest";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import { Arrivals } from "../../../peer/overlay/mesh/arrivals.ts";
import { LINK_BUDGETS, LinkTable } from "../../../peer/overlay/mesh/link-table.ts";
import {
  decodeMesh,
  type Forward,
  type MeshMessage,
  type Reply,
} from "../../../peer/overlay/mesh/mesh-messages.ts";
import { Neighbour } from "../../../peer/overlay/mesh/neighbour.ts";
import { Router } from "../../../peer/overlay/mesh/router.ts";

const OWN = 1_000;
const [ASKER, BETWEEN, LAST] = [5_000, 6_000, 7_000] as const;
/** Closer to this peer than to any other here. */
const NEWCOMER = OWN + 1;

function scripted(...keys: number[]): {
  readonly router: Router;
  readonly clock: SyncClock;
  readonly at: (key: number) => Neighbour;
  readonly sent: { readonly to: number; readonly path: readonly number[] }[];
  /** All of them, with their kinds. */
  readonly messages: { readonly to: number; readonly message: MeshMessage }[];
  readonly arrivals: Arrivals;
  /** Requests that ended here. */
  readonly served: readonly number[];
  readonly link: (key: number, prefix?: string) => void;
} {
  const clock = new SyncClock();
  const table = new LinkTable(OWN, LINK_BUDGETS.browser);
  const link = (key: number, prefix?: string): void =>
    table.add(new Neighbour({ key, prefix, contact: new Uint8Array(0), send: () => {}, close: () => {} }, 0));
  for (const key of keys) link(key);
  const sent: { to: number; path: readonly number[] }[] = [];
  const messages: { to: number; message: MeshMessage }[] = [];
  const arrivals = new Arrivals(clock);
  const served: number[] = [];
  const router = new Router({
    own: OWN,
    clock,
    random: seededRandom("router"),
    table,
    arrivals,
    serve: ({ mid }, ends) => ends && served.push(mid) > 0,
    passed: () => {},
    suspect: () => {},
    send: ({ key }, message) => {
      const reply = decodeMesh(message);
      messages.push({ to: key, message: reply });
      if (reply.kind === "reply") sent.push({ to: key, path: reply.path });
    },
  });
  return {
    router,
    clock,
    sent,
    messages,
    arrivals,
    served,
    link,
    at: (key) => table.neighbours.get(key) as Neighbour,
  };
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

/** Somebody asks this peer, by way of `BETWEEN`, for the newcomer. */
function question(mid: number): Forward {
  return {
    kind: "forward",
    mid,
    target: NEWCOMER,
    exact: true,
    greedy: false,
    open: false,
    strays: 3,
    ttl: 20,
    budgetMs: 4_000,
    origin: ASKER,
    promise: 2 ** 52,
    path: [ASKER, BETWEEN],
    dead: [],
    body: new Uint8Array(0),
  };
}

const kinds = ({ messages }: ReturnType<typeof scripted>): string[] =>
  messages
    .filter(({ message }) => message.kind !== "ack")
    .map(({ to, message }) =>
      message.kind === "reply" ? `found: ${message.found}` : `${message.kind} ${to}`,
    );

test("a request for a peer that is about to come waits for its link", () => {
  const here = scripted(ASKER, BETWEEN);
  here.arrivals.expect(NEWCOMER);
  here.router.receiveForward(here.at(BETWEEN), question(1));
  here.clock.advance(450);
  expect(kinds(here)).toEqual([]);
  here.link(NEWCOMER);
  here.arrivals.ended(NEWCOMER);
  expect(kinds(here)).toEqual([`forward ${NEWCOMER}`]);
});

test.each([false, true])("who asks for its own place is not led back to itself, greedy: %s", (greedy) => {
  const here = scripted(NEWCOMER, BETWEEN);
  const own = { ...question(1), origin: NEWCOMER, exact: false, greedy, path: [NEWCOMER, BETWEEN] };
  here.router.receiveForward(here.at(BETWEEN), own);
  // Nobody else is closer to it: that is answered here.
  expect(kinds(here)).toEqual([]);
  expect(here.served).toEqual([1]);
});

const FAR = 2 ** 40;

test("who asks for its own place is led on by what neighbours know, though nobody is closer than itself", () => {
  const here = scripted(BETWEEN, LAST);
  here.at(LAST).digest.set({ key: FAR + 1, rttMs: 20, x: 0, y: 0, height: 1 });
  const own = { ...question(1), target: FAR, origin: FAR, exact: false, path: [FAR, BETWEEN] };
  here.router.receiveForward(here.at(BETWEEN), own);
  expect(kinds(here)).toEqual([`forward ${LAST}`]);
  expect(here.served).toEqual([]);
});

test("who asks for its own place never gets its own answer: other neighbours are asked, and in the end nobody", () => {
  const here = scripted(BETWEEN, LAST);
  const answers: unknown[] = [];
  const through = here.at(BETWEEN);
  here.router.request(OWN, false, new Uint8Array(0), { through }, (answer) => answers.push(answer));
  here.clock.advance(400);
  through.suspectSinceMs = 400;
  here.at(LAST).suspectSinceMs = 400;
  here.clock.advance(5_000);
  expect(kinds(here)).toContain(`forward ${LAST}`);
  expect(here.served).toEqual([]);
  expect(answers).toEqual([undefined]);
});

test("where nobody keeps a promise, the next best that anybody knows is gone to, and not only who is closer itself", () => {
  const here = scripted(BETWEEN, LAST);
  here.at(LAST).digest.set({ key: FAR + 9, rttMs: 20, x: 0, y: 0, height: 1 });
  const promised = { ...question(1), target: FAR, exact: false, promise: 3 };
  here.router.receiveForward(here.at(BETWEEN), promised);
  expect(here.messages.map(({ message }) => message)).toContainEqual(
    expect.objectContaining({ kind: "forward", promise: 9, greedy: false }),
  );
});

test("one that does not come is denied after two seconds, and at once when nobody is expected", () => {
  const here = scripted(ASKER, BETWEEN);
  here.router.receiveForward(here.at(BETWEEN), question(1));
  expect(kinds(here)).toEqual(["found: false"]);
  here.arrivals.expect(NEWCOMER);
  here.router.receiveForward(here.at(BETWEEN), question(2));
  here.clock.advance(1_999);
  expect(kinds(here)).toHaveLength(1);
  here.clock.advance(1);
  expect(kinds(here)).toEqual(["found: false", "found: false"]);
});

test("who is denied asks others at another network of addresses first, and then others anywhere", () => {
  const here = scripted();
  const [nearest, beside, elsewhere] = [FAR + 1, FAR + 2, FAR + 900];
  for (const key of [nearest, beside]) here.link(key, "203.0.113.0/24");
  here.link(elsewhere, "198.51.100.0/24");
  here.router.request(FAR, true, new Uint8Array(1), {}, () => {});
  const [first] = here.messages;
  if (first?.message.kind !== "forward") throw new Error("it was asked");
  const { mid } = first.message;
  here.router.receiveReply(here.at(first.to), { ...reply([]), mid, origin: OWN, found: false });
  expect(kinds(here)).toEqual([nearest, elsewhere, beside].map((key) => `forward ${key}`));
});
