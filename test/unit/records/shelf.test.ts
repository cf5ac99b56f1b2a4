import { describe, expect, test } from "vitest";
import { distance, meshKeyOf } from "../../../peer/overlay/mesh/mesh-key.ts";
import type {
  ImmutableRecord,
  KeyedRecord,
  MutableRecord,
  ProviderRecord,
} from "../../../peer/services/records/record.ts";
import {
  LAPSED_MAX,
  PROVIDERS_MAX,
  PROVIDERS_TOLD_MAX,
  PUBLISHER_RECORDS_MAX,
  Shelf,
  SHELF_BYTES_MAX,
  SHELF_RECORDS_MAX,
  slotOfRecord,
} from "../../../peer/services/records/shelf.ts";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";

const NOW_MS = 1_800_000_000_000;
const random = seededRandom(3);

function immutable(bytes = 10): ImmutableRecord {
  return { kind: "immutable", key: random.bytes(32), expiresAtMs: NOW_MS + 1, value: new Uint8Array(bytes) };
}

function provider(key: Uint8Array, expiresAtMs = NOW_MS + 1): ProviderRecord {
  return { kind: "provider", key, expiresAtMs, publicKey: random.bytes(32), signature: new Uint8Array(64) };
}

function mutable(publicKey: Uint8Array): KeyedRecord {
  const { key, expiresAtMs, value } = immutable();
  const name = new Uint8Array(1);
  return { kind: "mutable", key, expiresAtMs, publicKey, name, seq: 1, value, signature: new Uint8Array(64) };
}

test("full, it gives up what lies farthest from its own key and takes nothing farther still", () => {
  const own = meshKeyOf(random.bytes(32));
  const shelf = new Shelf(own);
  for (let i = 0; i < SHELF_RECORDS_MAX; i++) expect(shelf.put(immutable(), NOW_MS)).toBe("stored");
  const farthest = Math.max(...[...shelf.entries()].map(({ place }) => distance(place, own)));
  let taken = 0;
  for (let i = 0; i < 50; i++) {
    const record = immutable();
    const isFarther = distance(meshKeyOf(record.key), own) > farthest;
    const outcome = shelf.put(record, NOW_MS);
    if (isFarther) expect(outcome).toBe("full");
    if (outcome === "stored") taken += 1;
    expect(shelf.size).toBe(SHELF_RECORDS_MAX);
  }
  expect(taken).toBeGreaterThan(0);
});

test("bytes are bounded too", () => {
  const shelf = new Shelf(meshKeyOf(random.bytes(32)));
  for (let i = 0; i < 2 * (SHELF_BYTES_MAX / 1_280); i++) shelf.put(immutable(1_024), NOW_MS);
  expect(shelf.bytes).toBeLessThanOrEqual(SHELF_BYTES_MAX);
  for (const shelved of [...shelf.entries()]) shelf.delete(shelved);
  expect(shelf.bytes).toBe(0);
});

test("one publisher has no more than its share", () => {
  const shelf = new Shelf(0);
  const publicKey = random.bytes(32);
  for (let i = 0; i < PUBLISHER_RECORDS_MAX; i++)
    expect(shelf.put(mutable(publicKey), NOW_MS)).toBe("stored");
  expect(shelf.put(mutable(publicKey), NOW_MS)).toBe("full");
  expect(shelf.put(mutable(random.bytes(32)), NOW_MS)).toBe("stored");
});

test("of many providers those that last longest are kept, and a few of them told", () => {
  const shelf = new Shelf(0);
  const key = random.bytes(32);
  for (let i = 1; i <= PROVIDERS_MAX + 10; i++) shelf.put(provider(key, NOW_MS + i), NOW_MS);
  expect(shelf.size).toBe(PROVIDERS_MAX);
  const told = shelf.get(key, "providers", NOW_MS);
  expect(told).toHaveLength(PROVIDERS_TOLD_MAX);
  expect(told[0]?.expiresAtMs).toBe(NOW_MS + PROVIDERS_MAX + 10);
  expect(shelf.get(key, "value", NOW_MS)).toEqual([]);
});

test("what is over is neither taken, nor told, nor kept", () => {
  const shelf = new Shelf(0);
  const record = immutable();
  expect(shelf.put({ ...record, expiresAtMs: NOW_MS - 3_600_000 }, NOW_MS)).toBe("expired");
  expect(shelf.put({ ...record, expiresAtMs: NOW_MS + 10 * 86_400_000 }, NOW_MS)).toBe("expired");
  shelf.put(record, NOW_MS);
  expect(shelf.get(record.key, "value", NOW_MS + 3_600_000)).toEqual([]);
  shelf.expire(NOW_MS + 3_600_000);
  expect(shelf.size).toBe(0);
});

describe("when a version has expired", () => {
  const HOUR_MS = 3_600_000;
  const publicKey = random.bytes(32);
  const first = mutable(publicKey) as MutableRecord;
  const version = (seq: number, lastsMs: number): MutableRecord => ({
    ...first,
    seq,
    expiresAtMs: NOW_MS + lastsMs,
  });

  test("none that is older comes back, however long it lasts; a newer does, and the same said again", () => {
    const shelf = new Shelf(0);
    const slot = slotOfRecord(first);
    shelf.put(version(6, 60_000), NOW_MS);
    shelf.expire(NOW_MS + HOUR_MS);
    expect(shelf.size).toBe(0);
    expect(shelf.get(first.key, "value", NOW_MS + HOUR_MS)).toEqual([]);
    expect(shelf.put(version(5, 20 * HOUR_MS), NOW_MS + HOUR_MS)).toBe("stale");
    expect(shelf.last(slot)).toMatchObject({ seq: 6 });
    expect(shelf.put(version(6, 20 * HOUR_MS), NOW_MS + HOUR_MS)).toBe("stored");
    shelf.expire(NOW_MS + 22 * HOUR_MS);
    expect(shelf.put(version(7, 23 * HOUR_MS), NOW_MS + 22 * HOUR_MS)).toBe("stored");
  });

  test("an older one that is still there goes when the newer is shown", () => {
    const shelf = new Shelf(0);
    shelf.put(version(5, 20 * HOUR_MS), NOW_MS);
    expect(shelf.put(version(6, 60_000), NOW_MS + HOUR_MS)).toBe("expired");
    expect(shelf.size).toBe(0);
    expect(shelf.put(version(5, 20 * HOUR_MS), NOW_MS + HOUR_MS)).toBe("stale");
  });

  test("it is remembered for a day, among so many", () => {
    const shelf = new Shelf(0);
    shelf.put(version(6, 60_000), NOW_MS);
    shelf.expire(NOW_MS + HOUR_MS);
    shelf.expire(NOW_MS + 26 * HOUR_MS);
    expect(shelf.last(slotOfRecord(first))).toBeUndefined();
    const records = Array.from({ length: LAPSED_MAX + 1 }, () => mutable(random.bytes(32)));
    for (const record of records) shelf.put(record, NOW_MS);
    shelf.expire(NOW_MS + HOUR_MS);
    expect(records.filter((record) => shelf.last(slotOfRecord(record)) === undefined)).toEqual([records[0]]);
  });
});
