import fc from "fast-check";
import { expect, test } from "vitest";
import { webCryptoHash } from "../../../peer/adapters/web-crypto-hash.ts";
import { identityFromSeed } from "../../../peer/identity/identity.ts";
import { recordCheck } from "../../../peer/services/records/check.ts";
import {
  decodeAnswer,
  decodeNote,
  decodeRequest,
  encodeAnswer,
  encodeNote,
  encodeRequest,
} from "../../../peer/services/records/protocol.ts";
import {
  decodeRecord,
  encodeRecord,
  isNewer,
  isTimely,
  type KeyedRecord,
  type MutableRecord,
  mutableKeyInput,
  signedBytes,
  TTL_MS_MAX,
} from "../../../peer/services/records/record.ts";
import { decodeValue, encodeValue, type RecordValue } from "../../../peer/services/records/value.ts";
import { sha256, toHex, utf8 } from "../../../shared/bytes.ts";
import type { NetworkName } from "../../../shared/ids.ts";
import { PeerloomError } from "../../../shared/errors.ts";

const NETWORK = "records" as NetworkName;
const NOW_MS = 1_800_000_000_000;

async function genuine(): Promise<{ readonly [kind in KeyedRecord["kind"]]: KeyedRecord }> {
  const identity = await identityFromSeed(new Uint8Array(32).fill(7));
  const { publicKey } = identity;
  const value = encodeValue("hello");
  const name = utf8("status");
  const key = await sha256(mutableKeyInput(publicKey, name));
  const draft = { kind: "mutable", key, expiresAtMs: NOW_MS, publicKey, name, seq: 3, value } as const;
  const claim = { kind: "provider", key, expiresAtMs: NOW_MS, publicKey } as const;
  return {
    immutable: { kind: "immutable", key: await sha256(value), expiresAtMs: NOW_MS, value },
    mutable: { ...draft, signature: await identity.sign(signedBytes(NETWORK, draft)) },
    provider: { ...claim, signature: await identity.sign(signedBytes(NETWORK, claim)) },
  };
}

function isValid(record: KeyedRecord, network = NETWORK): Promise<boolean> {
  return new Promise((resolve) => recordCheck(webCryptoHash, network).check(record, resolve));
}

test("genuine records are recognised; one changed bit, or another network, is refused", async () => {
  for (const record of Object.values(await genuine())) {
    expect(await isValid(record)).toBe(true);
    expect(await isValid({ ...record, key: new Uint8Array(32) })).toBe(false);
    if (record.kind === "immutable") continue;
    expect(await isValid(record, "other" as NetworkName)).toBe(false);
    expect(await isValid({ ...record, expiresAtMs: NOW_MS + 1 })).toBe(false);
    expect(await isValid({ ...record, signature: record.signature.toReversed() })).toBe(false);
    expect(await isValid({ ...record, publicKey: new Uint8Array(32) })).toBe(false);
  }
  const { mutable } = await genuine();
  expect(await isValid({ ...(mutable as MutableRecord), seq: 4 })).toBe(false);
  expect(await isValid({ ...(mutable as MutableRecord), value: encodeValue("hellp") })).toBe(false);
});

test("the bytes are those of shared/WIRE.md", async () => {
  const { immutable, mutable, provider } = await genuine();
  expect(toHex(encodeRecord(immutable))).toBe(
    `9400c420${toHex(immutable.key)}cb427a3185c5000000c4060168656c6c6f`,
  );
  for (const record of [immutable, mutable, provider])
    expect(decodeRecord(encodeRecord(record))).toEqual(record);
});

test("of two versions everybody takes the same one", () => {
  const base: MutableRecord = {
    kind: "mutable",
    key: new Uint8Array(32),
    expiresAtMs: 10,
    publicKey: new Uint8Array(32),
    name: new Uint8Array(1),
    seq: 1,
    value: Uint8Array.of(5),
    signature: new Uint8Array(64),
  };
  expect(isNewer({ ...base, seq: 2 }, base)).toBe(true);
  expect(isNewer(base, { ...base, seq: 2 })).toBe(false);
  expect(isNewer({ ...base, value: Uint8Array.of(4) }, base)).toBe(true);
  expect(isNewer({ ...base, value: Uint8Array.of(5, 0) }, base)).toBe(false);
  expect(isNewer({ ...base, expiresAtMs: 11 }, base)).toBe(true);
  expect(isNewer(base, base)).toBe(false);
});

test("a record lasts as long as it may, give or take five minutes of clocks", () => {
  const record: KeyedRecord = {
    kind: "immutable",
    key: new Uint8Array(32),
    expiresAtMs: NOW_MS,
    value: new Uint8Array(1),
  };
  expect(isTimely(record, NOW_MS - TTL_MS_MAX)).toBe(true);
  expect(isTimely(record, NOW_MS - TTL_MS_MAX - 6 * 60_000)).toBe(false);
  expect(isTimely(record, NOW_MS + 4 * 60_000)).toBe(true);
  expect(isTimely(record, NOW_MS + 6 * 60_000)).toBe(false);
});

test("values come back as they were", () => {
  const values: RecordValue[] = ["", "\u{feff}text", new Uint8Array(0), 1.5, null, [], { a: [{ b: "c" }] }];
  for (const value of values) expect(decodeValue(encodeValue(value))).toEqual(value);
  const circle: unknown[] = [];
  circle.push(circle);
  for (const bad of [
    undefined,
    new Date(),
    new Set(),
    Number.NaN,
    () => 1,
    circle,
    "\ud800",
    { a: undefined },
  ])
    expect(() => encodeValue(bad as RecordValue)).toThrow(PeerloomError);
});

test("whatever arrives is read or refused, never more", async () => {
  const { mutable, immutable, provider } = await genuine();
  const key = mutable.key;
  const seeds = [
    encodeRequest({ kind: "put", record: mutable, cas: 2 }),
    encodeRequest({ kind: "get", key, wanted: "providers" }),
    encodeAnswer({ kind: "put", status: "stale", copies: 3, current: mutable }),
    encodeAnswer({ kind: "get", records: [immutable, provider] }),
    encodeNote({ kind: "push", id: 1, record: mutable }),
    encodeNote({ kind: "receipt", id: 1, kept: true, current: undefined }),
    encodeNote({ kind: "offer", versions: [{ slot: 5, seq: 6, expiresAtS: 7 }] }),
    encodeNote({ kind: "want", slots: [1], held: [2, 3] }),
    encodeNote({ kind: "fetch", id: 2, key, wanted: "value" }),
    encodeNote({ kind: "fetched", id: 2, records: [immutable] }),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }),
      fc.nat(),
      (bytes, changes, cut) => {
        const changed = bytes.slice(0, bytes.length - (cut % 3));
        for (const [at, value] of changes) changed[at % changed.length] = value;
        decodeAnswer(changed);
        decodeNote(changed);
        try {
          decodeRequest(changed);
        } catch (error) {
          if (!(error instanceof PeerloomError)) throw error;
        }
      },
    ),
    { numRuns: 2_000 },
  );
});
