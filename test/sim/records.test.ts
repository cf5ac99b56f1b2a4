/** Records in a simulated overlay: the very holders that real peers run. Figures at size: `peerloom sim`. */
import { describe, expect, test } from "vitest";
import { SyncClock } from "../../peer/adapters/sim/sync-clock.ts";
import { LINK_BUDGETS } from "../../peer/overlay/mesh/link-table.ts";
import { distance, meshKeyOf } from "../../peer/overlay/mesh/mesh-key.ts";
import { getRecords, putRecord, type PutResult } from "../../peer/services/records/client.ts";
import { REPLICAS } from "../../peer/services/records/upkeep.ts";
import type { KeyedRecord, MutableRecord } from "../../peer/services/records/record.ts";
import { runExperiment } from "../../peer/simulation/experiment.ts";
import { buildNetwork } from "../../peer/simulation/oracle.ts";
import { type SimPeer, TRUSTING, World } from "../../peer/simulation/world.ts";

function network(nodes: number, options: { readonly malicious?: number } = {}): World {
  const world = new World({ seed: 11, clock: new SyncClock(), ...options });
  buildNetwork(world, nodes, LINK_BUDGETS.browser);
  world.clock.advance(15_000);
  return world;
}

function mutable(world: World, seq: number, value = seq): MutableRecord {
  return {
    kind: "mutable",
    key: new Uint8Array(32).fill(9),
    expiresAtMs: world.clock.nowMs() + 3_600_000,
    publicKey: new Uint8Array(32).fill(1),
    name: new Uint8Array(1),
    seq,
    value: Uint8Array.of(value),
    signature: new Uint8Array(64),
  };
}

function put(world: World, writer: SimPeer, record: KeyedRecord, cas?: number): PutResult {
  let result: PutResult | undefined;
  const { clock } = world;
  putRecord({ mesh: writer.mesh, clock, check: TRUSTING }, record, cas, (done) => (result = done));
  for (let ms = 0; ms < 6_000 && result === undefined; ms += 100) clock.advance(100);
  expect(result).toBeDefined();
  return result as PutResult;
}

function get(world: World, reader: SimPeer, key: Uint8Array): KeyedRecord | undefined {
  let found: readonly KeyedRecord[] | undefined;
  const { clock } = world;
  getRecords({ mesh: reader.mesh, clock, check: TRUSTING }, key, "value", (records) => (found = records));
  for (let ms = 0; ms < 6_000 && found === undefined; ms += 100) clock.advance(100);
  return (found as readonly KeyedRecord[] | undefined)?.[0];
}

/** Peers by rising distance to a record's key. */
function closest(world: World, { key }: KeyedRecord): SimPeer[] {
  const place = meshKeyOf(key);
  return world.alive.toSorted((a, b) => distance(a.key, place) - distance(b.key, place));
}

function has(peer: SimPeer, { key }: KeyedRecord): boolean {
  return [...peer.holder.shelf.entries()].some(({ place }) => place === meshKeyOf(key));
}

test("a record is kept by the eight peers closest to its key, and everybody finds it", () => {
  const world = network(150);
  const record = mutable(world, 1);
  expect(put(world, world.pick(), record)).toMatchObject({ status: "stored" });
  world.clock.advance(1_000);
  expect(
    closest(world, record)
      .slice(0, REPLICAS)
      .filter((peer) => has(peer, record)),
  ).toHaveLength(REPLICAS);
  for (let i = 0; i < 20; i++) expect(get(world, world.pick(), record.key)).toEqual(record);
});

test("the newest version wins everywhere, the older is refused and the newer shown", () => {
  const world = network(100);
  const [old, young] = [mutable(world, 1), mutable(world, 2)];
  expect(put(world, world.pick(), young).status).toBe("stored");
  expect(put(world, world.pick(), old)).toMatchObject({ status: "stale", current: young });
  expect(get(world, world.pick(), old.key)).toEqual(young);
});

test("compare and swap: only who knows the version there replaces it", () => {
  const world = network(60);
  expect(put(world, world.pick(), mutable(world, 1), 0).status).toBe("stored");
  expect(put(world, world.pick(), mutable(world, 3), 2).status).toBe("stale");
  expect(put(world, world.pick(), mutable(world, 2), 1).status).toBe("stored");
});

test("one after the other of the eight dies, others take over, and a newcomer that is closest gets it", () => {
  const world = network(80);
  const record = mutable(world, 1);
  put(world, world.pick(), record);
  for (let i = 0; i < 16; i++) {
    world.kill(closest(world, record)[i % 3] as SimPeer);
    world.join();
    world.clock.advance(5_000);
  }
  expect(get(world, world.pick(), record.key)).toEqual(record);
  world.clock.advance(60_000);
  expect(
    closest(world, record)
      .slice(0, REPLICAS)
      .filter((peer) => has(peer, record)).length,
  ).toBeGreaterThanOrEqual(REPLICAS - 1);
});

test("a newcomer is given all that two peers hold, more than it takes at once; then nothing is said any more", () => {
  const world = network(2);
  const count = 1_000;
  for (let i = 0; i < count; i++) {
    const expiresAtMs = world.clock.nowMs() + 20 * 3_600_000;
    const record = {
      kind: "immutable",
      key: world.random.bytes(32),
      expiresAtMs,
      value: new Uint8Array(1),
    } as const;
    for (const { holder } of world.alive) holder.shelf.put(record, world.clock.nowMs());
  }
  world.clock.advance(60_000);
  const { holder } = world.join();
  world.clock.advance(10 * 60_000);
  expect(holder.shelf.size).toBe(count);
  const said = world.bytes.get("note")?.total;
  world.clock.advance(3_600_000);
  expect(world.bytes.get("note")?.total).toBe(said);
});

test("what has expired is gone", () => {
  const world = network(60);
  const record: KeyedRecord = { ...mutable(world, 1), expiresAtMs: world.clock.nowMs() + 60_000 };
  put(world, world.pick(), record);
  world.clock.advance(60_000 + 5 * 60_000 + 40_000);
  expect(get(world, world.pick(), record.key)).toBeUndefined();
  expect(world.alive.filter((peer) => has(peer, record))).toEqual([]);
});

test("when a version has expired the one before does not come back, and the next one's number follows it", () => {
  const world = network(60);
  put(world, world.pick(), mutable(world, 5));
  put(world, world.pick(), { ...mutable(world, 6), expiresAtMs: world.clock.nowMs() + 60_000 });
  world.clock.advance(60_000 + 5 * 60_000 + 40_000);
  expect(put(world, world.pick(), mutable(world, 5))).toMatchObject({ status: "stale", current: { seq: 6 } });
  expect(get(world, world.pick(), mutable(world, 5).key)).toBeUndefined();
  expect(put(world, world.pick(), mutable(world, 7), 0).status).toBe("stored");
  expect(get(world, world.pick(), mutable(world, 5).key)).toMatchObject({ seq: 7 });
});

test("a network cut in two, each half with its own version, agrees on the newer when it is one again", () => {
  const world = network(120);
  const record = mutable(world, 1);
  put(world, world.pick(), record);
  const left = new Set(world.alive.slice(0, 60));
  world.isCut = (a, b) => left.has(a) !== left.has(b);
  world.clock.advance(60_000);
  const [here, there] = [[...left][0] as SimPeer, world.alive.find((peer) => !left.has(peer)) as SimPeer];
  expect(get(world, here, record.key)).toEqual(record);
  expect(get(world, there, record.key)).toEqual(record);
  put(world, here, mutable(world, 2));
  put(world, there, mutable(world, 3));
  world.isCut = () => false;
  for (const peer of [...left].slice(0, 3)) world.connect(peer, there);
  world.clock.advance(120_000);
  for (let i = 0; i < 10; i++) expect(get(world, world.pick(), record.key)).toMatchObject({ seq: 3 });
});

test("with a fifth of all peers dropping, denying, misrouting or answering falsely, records are put and got", () => {
  const world = network(150, { malicious: 0.2 });
  let found = 0;
  for (let i = 0; i < 40; i++) {
    const record: KeyedRecord = {
      kind: "immutable",
      key: world.random.bytes(32),
      expiresAtMs: world.clock.nowMs() + 3_600_000,
      value: new Uint8Array(1),
    };
    put(world, world.pickReady(), record);
    if (get(world, world.pickReady(), record.key) !== undefined) found += 1;
  }
  expect(found).toBeGreaterThanOrEqual(39);
});

describe("the experiment", () => {
  test("loses nothing while peers come and go", () => {
    const { records } = runExperiment({
      nodes: 60,
      seed: 5,
      lookups: 10,
      churnMsMedian: 30_000,
      durationMs: 120_000,
      records: 100,
    });
    expect(records.count).toBeGreaterThan(90);
    expect(records.found).toBe(1);
  });
});
