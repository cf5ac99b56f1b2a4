/** Records as an application uses them, in bulk and over hours. */
import { generateKeyPairSync, sign } from "node:crypto";
import { expect, test } from "vitest";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import { LINK_BUDGETS } from "../../../peer/overlay/mesh/link-table.ts";
import type { Mesh } from "../../../peer/overlay/mesh/mesh.ts";
import type { ServiceHost } from "../../../peer/services/host.ts";
import { decodeRequest, encodeAnswer, type RecordAnswer } from "../../../peer/services/records/protocol.ts";
import { Records } from "../../../peer/services/records/records.ts";
import { Shelf, slotOfRecord } from "../../../peer/services/records/shelf.ts";
import { buildNetwork } from "../../../peer/simulation/oracle.ts";
import { type SimPeer, World } from "../../../peer/simulation/world.ts";
import { DEFAULT_NETWORK, peerIdFromKey } from "../../../shared/ids.ts";

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const ID = peerIdFromKey(Buffer.from(publicKey.export({ format: "jwk" }).x as string, "base64url"));

function recordsOver(mesh: Mesh, clock: SyncClock): Records {
  const host: ServiceHost = {
    id: ID,
    network: DEFAULT_NETWORK,
    runtime: { ...simRuntime({ seed: 1, clock: new SimClock() }), clock },
    addresses: () => [],
    connect: () => Promise.reject(new Error("nobody")),
    sessions: () => [],
    sign: (bytes) => Promise.resolve(Uint8Array.from(sign(null, bytes, privateKey))),
    isLinked: () => Promise.resolve(true),
    handle: () => () => {},
  };
  const records = new Records(host);
  records.start(mesh);
  return records;
}

/** Time goes on until it is done. */
async function passing<T>(clock: SyncClock, work: Promise<T>): Promise<T> {
  let isDone = false;
  const done = (): void => {
    isDone = true;
  };
  work.then(done, done);
  while (!isDone) {
    // What was answered is checked, off the virtual clock.
    await new Promise(setImmediate);
    clock.advance(10);
  }
  return work;
}

test("two hundred puts and gets at once are all done", async () => {
  const clock = new SyncClock();
  const world = new World({ seed: 6, clock });
  buildNetwork(world, 30, LINK_BUDGETS.browser);
  clock.advance(15_000);
  const [writer, reader] = world.alive.map(({ mesh }) => mesh) as [Mesh, Mesh];
  const values = Array.from({ length: 200 }, (_, i) => `value ${i}`);
  const written = recordsOver(writer, clock);
  const keys = await passing(clock, Promise.all(values.map((value) => written.put(value))));
  const read = recordsOver(reader, clock);
  expect(await passing(clock, Promise.all(keys.map((key) => read.get(key))))).toEqual(values);
  for (const { mesh } of world.alive as SimPeer[]) mesh.close();
});

/** All others as one, who answers at once. */
function meshOf(answer: (body: Uint8Array) => RecordAnswer | undefined): Mesh {
  const mesh: Pick<Mesh, "key" | "size" | "reach" | "ask" | "service"> = {
    key: 1,
    size: 32,
    reach: 2 ** 20,
    service: undefined,
    ask: (_key, body, done) => {
      const said = answer(body);
      done(said && { body: encodeAnswer(said), hops: 2, rttMs: 90, firstTry: true });
    },
  };
  return mesh as Mesh;
}

test("what nobody keeps when it is said again is said again soon, ever more rarely, and hourly once it is kept", async () => {
  const clock = new SyncClock();
  let isAnswered = true;
  const askedAtMs: number[] = [];
  const mesh = meshOf(() => {
    if (askedAtMs.at(-1) !== clock.monotonicMs()) askedAtMs.push(clock.monotonicMs());
    return isAnswered ? { kind: "put", status: "stored", copies: 8, current: undefined } : undefined;
  });
  const records = recordsOver(mesh, clock);
  await records.put("value");
  /** Minutes between what was said in so many. */
  const pauses = async (minutes: number): Promise<number[]> => {
    const before = askedAtMs.length;
    for (let i = 0; i < 6 * minutes; i++) {
      clock.advance(10_000);
      await new Promise(setImmediate);
    }
    return askedAtMs.slice(before).map((atMs, i) => (atMs - (askedAtMs[before + i - 1] as number)) / 60_000);
  };
  isAnswered = false;
  const [first, ...others] = await pauses(100);
  expect(first).toBeGreaterThan(40);
  expect(others.length).toBeGreaterThanOrEqual(4);
  for (const [i, pause] of others.entries()) {
    expect(pause).toBeGreaterThan(0.35 * 2 ** i);
    expect(pause).toBeLessThan(0.8 * 2 ** i);
  }
  isAnswered = true;
  await pauses(60);
  expect((await pauses(80)).at(-1)).toBeGreaterThan(40);
  records.close();
});

test("when all versions of a name have expired the next number follows the last, expected or not", async () => {
  const clock = new SyncClock();
  const shelf = new Shelf(1);
  const mesh = meshOf((body) => {
    const asked = decodeRequest(body);
    if (asked.kind === "get")
      return { kind: "get", records: shelf.get(asked.key, asked.wanted, clock.nowMs()) };
    const { record } = asked;
    const isKept = ["stored", "known"].includes(shelf.put(record, clock.nowMs()));
    if (isKept) return { kind: "put", status: "stored", copies: 8, current: undefined };
    return { kind: "put", status: "stale", copies: 0, current: shelf.last(slotOfRecord(record)) };
  });
  /** By a process that ends before it expires. */
  const set = async (value: string, cas?: number): Promise<number> => {
    const records = recordsOver(mesh, clock);
    const { seq } = await records.set("status", value, { ttlMs: 60_000, ...(cas !== undefined && { cas }) });
    records.close();
    clock.advance(10 * 60_000);
    shelf.expire(clock.nowMs());
    return seq;
  };
  expect([await set("b"), await set("a"), await set("c", 0)]).toEqual([1, 2, 3]);
  await expect(set("d", 1)).rejects.toMatchObject({ code: "records/stale" });
});
