/** The small parts of a swarm: bitfields, rarity, whom to ask, which part is wanted, what may be said, and who may take part. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nodeRuntime } from "../../../peer/adapters/node/runtime.ts";
import { swarmAccess } from "../../../peer/services/files/access.ts";
import { Bitfield } from "../../../peer/services/files/bitfield.ts";
import { Candidates, CANDIDATES_MAX } from "../../../peer/services/files/candidates.ts";
import type { Manifest } from "../../../peer/services/files/manifest.ts";
import { Picker } from "../../../peer/services/files/picker.ts";
import {
  decodeOpening,
  decodePeers,
  encodeOpening,
  encodePeers,
  indexesBody,
  indexesOf,
  PEERS_TOLD_MAX,
} from "../../../peer/services/files/protocol.ts";
import { Selection } from "../../../peer/services/files/selection.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { type PeerId, peerIdFromKey, requireNetworkName } from "../../../shared/ids.ts";

function peer(number: number): PeerId {
  const key = new Uint8Array(32);
  new DataView(key.buffer).setUint32(0, number);
  return peerIdFromKey(key);
}

test("a bitfield comes back as it was, and says nothing of chunks that there are not", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 200 }), fc.array(fc.nat(199)), (count, indexes) => {
      const bits = new Bitfield(count);
      for (const index of indexes) bits.add(index);
      const inside = new Set(indexes.filter((index) => index < count));
      expect(bits.size).toBe(inside.size);
      const back = Bitfield.from(bits.toBytes(), count);
      for (let index = 0; index < 210; index++) expect(back?.has(index)).toBe(inside.has(index));
    }),
  );
  expect(Bitfield.from(Uint8Array.of(0xff), 7)).toBeUndefined();
  expect(Bitfield.from(Uint8Array.of(0xfe), 7)?.isFull).toBe(true);
  expect(Bitfield.from(new Uint8Array(2), 7)).toBeUndefined();
  expect(Bitfield.full(0).isFull).toBe(true);
});

test("a picker gives one of the rarest, whatever came before", () => {
  const step = fc.record({ what: fc.constantFrom("add", "remove", "more", "fewer"), index: fc.nat(19) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.func(fc.nat(999)), (steps, choose) => {
      let calls = 0;
      const picker = new Picker(20, () => choose(calls++) / 1_000);
      const there = new Set<number>();
      const holders = Array.from({ length: 20 }, () => 0);
      for (const { what, index } of steps) {
        if (what === "add") there.add(index);
        if (what === "add") picker.add(index);
        if (what === "remove") there.delete(index);
        if (what === "remove") picker.remove(index);
        const change = what === "more" ? 1 : what === "fewer" && (holders[index] as number) > 0 ? -1 : 0;
        holders[index] = (holders[index] as number) + change;
        if (change !== 0) picker.count(index, change as 1 | -1);
        expect(picker.size).toBe(there.size);
        const picked = picker.pick((each) => each % 3 !== 0);
        const suited = [...there].filter((each) => each % 3 !== 0);
        if (suited.length === 0) expect(picked).toBeUndefined();
        else {
          expect(suited).toContain(picked);
          const rarest = Math.min(...suited.map((each) => holders[each] as number));
          expect(holders[picked as number]).toBe(rarest);
        }
        expect(picker.rare).toBe([...there].filter((each) => holders[each] === 0).length);
      }
    }),
  );
});

describe("whom to ask", () => {
  test("the ticket's first, then records', then members'; oneself never, liars never again", () => {
    const candidates = new Candidates(peer(0), () => 0.5);
    for (const [number, origin] of [
      [3, "member"],
      [2, "record"],
      [1, "ticket"],
      [0, "ticket"],
    ] as const)
      candidates.add({ id: peer(number), addresses: [] }, origin, 0);
    const order = [1, 2, 3].map(() => candidates.take(0));
    expect(order.map((each) => each?.provider.id)).toEqual([peer(1), peer(2), peer(3)]);
    expect(candidates.take(0)).toBeUndefined();
    for (const each of order) if (each !== undefined) candidates.ban(each);
    expect(candidates.isExhausted).toBe(true);
    expect(candidates.add({ id: peer(1), addresses: [] }, "record", 0)).toBe(false);
    expect(candidates.take(1e9)).toBeUndefined();
  });

  test("who fails waits longer each time; hearsay is forgotten, the ticket's is not", () => {
    const candidates = new Candidates(peer(0), () => 1);
    candidates.add({ id: peer(1), addresses: [] }, "ticket", 0);
    candidates.add({ id: peer(2), addresses: [] }, "member", 0);
    let nowMs = 0;
    const waits: number[] = [];
    for (let i = 0; i < 40; i++) {
      const candidate = candidates.take(nowMs);
      if (candidate === undefined) nowMs += 50;
      else {
        candidates.failed(candidate, nowMs);
        if (candidate.origin === "ticket") waits.push(candidate.dueAtMs - nowMs);
      }
    }
    expect(waits.slice(0, 3)).toEqual([250, 450, 850]);
    for (nowMs = 1e6; ; nowMs += 1e6) {
      const taken = candidates.take(nowMs);
      if (taken?.origin === "ticket") expect(taken.provider.id).toBe(peer(1));
      if (taken === undefined || nowMs > 20e6) break;
      candidates.failed(taken, nowMs);
    }
    expect(candidates.add({ id: peer(2), addresses: [] }, "member", 0)).toBe(true);
  });

  test("who had to make room rests, and comes after those who were not tried so often", () => {
    const candidates = new Candidates(peer(0), () => 0);
    candidates.add({ id: peer(1), addresses: [] }, "ticket", 0);
    candidates.add({ id: peer(2), addresses: [] }, "member", 0);
    const first = candidates.take(0);
    if (first !== undefined) candidates.rested(first, 0);
    expect([candidates.isDue(0), candidates.take(0)?.provider.id, candidates.isDue(0)]).toEqual([
      true,
      peer(2),
      false,
    ]);
    candidates.add({ id: peer(3), addresses: [] }, "member", 14_999);
    expect(candidates.take(14_999)?.provider.id).toBe(peer(3));
    candidates.add({ id: peer(4), addresses: [] }, "member", 15_000);
    expect([candidates.take(15_000), candidates.take(15_000)].map((each) => each?.provider.id)).toEqual([
      peer(4),
      peer(1),
    ]);
  });

  test("strangers fill no more than there is room", () => {
    const candidates = new Candidates(peer(0), () => 0);
    for (let i = 1; i <= 10_000; i++) candidates.add({ id: peer(i), addresses: [] }, "member", 0);
    let count = 0;
    while (candidates.take(0) !== undefined) count += 1;
    expect(count).toBe(CANDIDATES_MAX);
  });
});

describe("which part", () => {
  const folder = (sizes: readonly number[]): Manifest => ({
    kind: "folder",
    name: "f",
    entries: sizes.map((bytes, at) => ({ path: `${at % 2 === 0 ? "even" : "odd"}/${at}`, bytes })),
    bytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
    chunkBytes: 100,
    root: new Uint8Array(32),
  });

  test("whatever is chosen, the slices of its chunks are its bytes, once and in order", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(250), { minLength: 2, maxLength: 20 }),
        fc.nat(3_000),
        fc.nat(3_000),
        fc.constantFrom(undefined, ["even"], ["odd", "even/0"]),
        (sizes, a, b, select) => {
          const manifest = folder(sizes);
          const range = { start: Math.min(a, b), end: Math.max(a, b) };
          const selection = new Selection(manifest, { range, ...(select === undefined ? {} : { select }) });
          const wanted: number[] = [];
          let offset = 0;
          for (const { path, bytes } of manifest.entries) {
            const isIn = select === undefined || select.some((each) => `${path}/`.startsWith(`${each}/`));
            for (let at = offset; at < offset + bytes; at++)
              if (isIn && at >= range.start && at < range.end) wanted.push(at);
            offset += bytes;
          }
          const got: number[] = [];
          for (let index = 0; index * 100 < manifest.bytes; index++) {
            const slices = selection.slices(index);
            expect(selection.chunks.has(index)).toBe(slices.length > 0);
            for (const { start, end } of slices)
              for (let at = start; at < end; at++) got.push(index * 100 + at);
          }
          expect(got).toEqual(wanted);
          expect(selection.bytes).toBe(wanted.length);
        },
      ),
    );
  });

  test("other choices have other names on disk", () => {
    const manifest = folder([10, 20, 30]);
    const tags = [undefined, ["even"], ["odd"], ["even/0"]].map(
      (select) => new Selection(manifest, select === undefined ? {} : { select }).tag,
    );
    expect(new Set(tags).size).toBe(4);
    expect(tags[0]).toBe("");
  });
});

describe("what is said", () => {
  test("openings, peers and indexes come back as they were", () => {
    const opening = {
      key: new Uint8Array(32).fill(1),
      proof: new Uint8Array(32).fill(2),
      gives: true,
      addresses: ["tcp://192.0.2.1:4000", "ws://192.0.2.1:4000"],
    };
    expect(decodeOpening(encodeOpening(opening))).toEqual(opening);
    const peers = Array.from({ length: 20 }, (_, at) => ({
      id: peer(at),
      addresses: ["a", "b", "c", "d", "e"],
    }));
    const back = decodePeers(encodePeers(peers));
    expect(back).toHaveLength(PEERS_TOLD_MAX);
    expect(back[0]).toEqual({ id: peer(0), addresses: ["a", "b", "c", "d"] });
    expect(indexesOf(indexesBody([0, 5, 4_294_967_295]))).toEqual([0, 5, 4_294_967_295]);
  });

  test("nonsense is refused by name and breaks nothing", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        for (const read of [decodeOpening, decodePeers, indexesOf]) {
          try {
            read(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(PeerloomError);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

test("a proof is of one pair, one direction, one share and one network's key; none of them is the hash", async () => {
  const runtime = nodeRuntime({ dataDir: undefined, webrtc: undefined });
  const [main, other] = [requireNetworkName("main"), requireNetworkName("other")];
  const hash = new Uint8Array(32).fill(7);
  const access = await swarmAccess({ runtime, network: main }, hash);
  const [a, b, c] = [peer(1), peer(2), peer(3)];
  const said = [
    access.key,
    (await swarmAccess({ runtime, network: other }, hash)).key,
    (await swarmAccess({ runtime, network: main }, new Uint8Array(32))).key,
    await access.proof("getter", { getter: a, giver: b }),
    await access.proof("giver", { getter: a, giver: b }),
    await access.proof("getter", { getter: b, giver: a }),
    await access.proof("getter", { getter: a, giver: c }),
    hash,
  ].map((bytes) => Buffer.from(bytes).toString("hex"));
  expect(new Set(said).size).toBe(said.length);
});
