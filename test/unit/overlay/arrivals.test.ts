import { expect, test } from "vitest";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import { Arrivals } from "../../../peer/overlay/mesh/arrivals.ts";
import { encodeMesh, type MeshMessage } from "../../../peer/overlay/mesh/mesh-messages.ts";
import type { MeshLink } from "../../../peer/overlay/mesh/neighbour.ts";
import { loneMesh } from "../mesh/lone-mesh.ts";

test("what waits for a peer goes on once: when it comes, or when it is late", () => {
  const clock = new SyncClock();
  const arrivals = new Arrivals(clock);
  const went: string[] = [];
  arrivals.expect(1);
  arrivals.expect(2);
  expect(arrivals.wait(1, () => went.push("first"))).toBe(true);
  expect(arrivals.wait(2, () => went.push("second"))).toBe(true);
  expect(arrivals.wait(3, () => went.push("third"))).toBe(false);
  arrivals.ended(1);
  clock.advance(1_000);
  // Expected again, it is not waited for longer.
  arrivals.expect(2);
  clock.advance(1_000);
  expect(went).toEqual(["first", "second"]);
  clock.advance(10_000);
  expect(went).toHaveLength(2);
});

test("who has come is told who belongs beside it, as far as that was found out in time", () => {
  const arrivals = new Arrivals(new SyncClock());
  const beside = [{ key: 7, contact: new Uint8Array([7]) }];
  expect(arrivals.expect(1, true)).toBe(true);
  expect(arrivals.expect(1)).toBe(false);
  arrivals.expect(2);
  expect([1, 2, 3].map((key) => arrivals.isNewcomer(key))).toEqual([true, false, false]);
  arrivals.placed(1, beside);
  arrivals.placed(3, beside);
  expect([1, 2, 3].map((key) => arrivals.ended(key))).toEqual([beside, [], []]);
  arrivals.placed(1, beside);
  expect(arrivals.isNewcomer(1)).toBe(false);
  expect(arrivals.ended(1)).toEqual([]);
  arrivals.close();
});

test("few are expected, few wait for each, and none after the end", () => {
  const clock = new SyncClock();
  const arrivals = new Arrivals(clock);
  const went: number[] = [];
  for (let key = 0; key < 64; key++) arrivals.expect(key);
  expect(arrivals.wait(0, () => went.push(0))).toBe(true);
  arrivals.expect(64);
  expect(went).toEqual([0]);
  const taken = Array.from({ length: 20 }, (_, i) => arrivals.wait(1, () => went.push(i)));
  expect(taken.filter(Boolean)).toHaveLength(16);
  arrivals.close();
  clock.advance(10_000);
  expect(went).toEqual([0]);
  expect(arrivals.wait(2, () => {})).toBe(false);
});

test("what waits for a peer goes to a neighbour that has its link first", () => {
  const { mesh, linkTo, sent } = loneMesh(1);
  const forwarded = (): number[] =>
    sent.filter(({ message }) => message.kind === "forward").map(({ to }) => to);
  const [asker, other] = [linkTo(2 ** 50), linkTo(2 ** 49)];
  mesh.add(asker);
  mesh.add(other);
  const newcomer = 2;
  mesh.expect(newcomer);
  const place = { x: 0, y: 0, height: 1 };
  const say = (link: MeshLink, message: MeshMessage): void => mesh.receive(link, encodeMesh(message));
  sent.length = 0; // It has looked for its own place.
  say(asker, {
    kind: "forward",
    mid: 1,
    target: newcomer,
    exact: true,
    greedy: false,
    open: false,
    strays: 0,
    ttl: 20,
    budgetMs: 4_000,
    origin: asker.key,
    promise: 2 ** 52,
    path: [asker.key],
    dead: [],
    body: new Uint8Array(0),
  });
  expect(forwarded()).toEqual([]);
  say(other, { kind: "delta", place, entries: [{ key: newcomer, rttMs: 20, ...place }], gone: [] });
  expect(forwarded()).toEqual([other.key]);
  mesh.kill();
});
