/** How little is said to a neighbour over a relay, where each message is billed to somebody. */
import { expect, test } from "vitest";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import { LINK_BUDGETS } from "../../../peer/overlay/mesh/link-table.ts";
import { decodeMesh, encodeMesh, type MeshMessage } from "../../../peer/overlay/mesh/mesh-messages.ts";
import type { MeshKey } from "../../../peer/overlay/mesh/mesh-key.ts";
import { Mesh } from "../../../peer/overlay/mesh/mesh.ts";
import type { MeshLink } from "../../../peer/overlay/mesh/neighbour.ts";
import { RelayedNews } from "../../../peer/overlay/mesh/relayed-news.ts";
import { loneMesh } from "./lone-mesh.ts";

const OWN = 1_000;
const HOUR_MS = 3_600_000;
const HERE = { x: 0, y: 0, height: 1 };
const HALF_RTT_MS = 20;
const CONTACT = Uint8Array.of(1);

/** Whole meshes, linked as a test says and never otherwise, and a count of what goes over each kind of link. */
class Meshes {
  readonly clock = new SyncClock();
  readonly counts = { direct: 0, relayed: 0 };

  mesh(key: MeshKey): Mesh {
    return new Mesh({
      clock: this.clock,
      random: seededRandom(`mesh ${key}`),
      key,
      budget: LINK_BUDGETS.browser,
      contact: () => CONTACT,
      open: (_, done) => done(false),
      deliver: () => {},
    });
  }

  link(one: Mesh, other: Mesh, isRelayed: boolean): void {
    const end = (to: Mesh, back: () => MeshLink): MeshLink => ({
      key: to.key,
      contact: CONTACT,
      isRelayed,
      send: (bytes) => {
        this.counts[isRelayed ? "relayed" : "direct"] += 1;
        this.clock.setTimer(HALF_RTT_MS, () => to.receive(back(), bytes));
      },
      close: () => {},
    });
    const there: MeshLink = end(other, () => here);
    const here: MeshLink = end(one, () => there);
    one.add(there);
    other.add(here);
  }
}

/** A mesh whose neighbours answer pings and say nothing else. */
function answeredMesh() {
  const { mesh, clock, linkTo, sent } = loneMesh(OWN);
  const link = (key: MeshKey, isRelayed: boolean): MeshLink => {
    const silent = linkTo(key);
    const answering: MeshLink = {
      ...silent,
      isRelayed,
      send: (bytes) => {
        silent.send(bytes);
        const message = decodeMesh(bytes);
        if (message.kind !== "ping") return;
        const pong = encodeMesh({ kind: "pong", id: message.id, place: HERE, error: 1 });
        clock.setTimer(HALF_RTT_MS, () => mesh.receive(answering, pong));
      },
    };
    return answering;
  };
  const to = (key: MeshKey, kind: MeshMessage["kind"]): MeshMessage[] =>
    sent.filter((each) => each.to === key && each.message.kind === kind).map(({ message }) => message);
  return { mesh, clock, link, to };
}

test("where nothing happens, a relay carries next to nothing in an hour, and a direct link a question every ten seconds", () => {
  const world = new Meshes();
  const [a, b, c] = [world.mesh(1), world.mesh(2 ** 20), world.mesh(2 ** 40)];
  world.link(a, b, true);
  world.clock.advance(60_000);
  world.counts.relayed = 0;
  world.clock.advance(HOUR_MS);
  // Each looks for its own place about six times: a question, its receipt, the answer.
  expect(world.counts.relayed).toBeGreaterThan(0);
  expect(world.counts.relayed).toBeLessThan(80);
  world.link(a, c, false);
  world.clock.advance(60_000);
  world.counts.direct = 0;
  world.clock.advance(HOUR_MS);
  expect(world.counts.direct).toBeGreaterThan(500);
  expect([a.size, b.size, c.size]).toEqual([2, 1, 1]);
  for (const mesh of [a, b, c]) mesh.kill();
});

test("of others that come and go all the time it is told once a minute, all that is new, and at first at once", () => {
  const { mesh, clock, link, to } = answeredMesh();
  mesh.add(link(1, true));
  mesh.add(link(2, false));
  clock.advance(1_000);
  const comeAndGo = (count: number, first: MeshKey): void => {
    for (let i = 0; i < count; i++) {
      const guest = link(first + i, false);
      mesh.add(guest);
      clock.advance(1_500);
      mesh.remove(guest);
      clock.advance(1_500);
    }
  };
  const before = to(1, "delta").length;
  comeAndGo(2, 10);
  // Each came and went, and was told of both times.
  expect(to(1, "delta").length - before).toBe(4);
  comeAndGo(100, 100);
  const stays = link(300, false);
  mesh.add(stays);
  clock.advance(120_000);
  const [late, direct] = [to(1, "delta"), to(2, "delta")];
  expect(late.length).toBeLessThanOrEqual(8 + 7 + 2);
  expect(direct.length).toBeGreaterThan(190);
  const known = new Set<MeshKey>();
  for (const delta of late) {
    if (delta.kind !== "delta") continue;
    for (const { key } of delta.entries) known.add(key);
    for (const key of delta.gone) known.delete(key);
  }
  expect([...known].sort((a, b) => a - b)).toEqual([1, 2, 300]);
  mesh.kill();
});

test("what is not told yet is bounded, and of who comes back nothing is left but that", () => {
  const news = new RelayedNews(0);
  for (let i = 0; i < 8; i++) {
    news.add({ changed: new Set([i]), gone: new Set() });
    expect(news.take(0)).toEqual({ changed: new Set([i]), gone: new Set() });
  }
  expect(news.take(0)).toBeUndefined();
  for (let key = 0; key < 1_000; key++) news.add({ changed: new Set(), gone: new Set([key]) });
  news.add({ changed: new Set([999]), gone: new Set() });
  expect(news.take(59_000)).toBeUndefined();
  const { changed, gone } = news.take(60_000) ?? {};
  expect([...(changed ?? [])]).toEqual([999]);
  expect([gone?.size, gone?.has(998), gone?.has(999)]).toEqual([127, true, false]);
});
