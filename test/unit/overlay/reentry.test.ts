/** How a peer that nobody is linked to gets back: whom it dials, how often, and that a disk which takes nothing does not stop it. */
import { expect, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { memoryStorage } from "../../../peer/adapters/memory-storage.ts";
import { Reentry } from "../../../peer/overlay/reentry.ts";
import type { KeyValueStorage } from "../../../peer/runtime.ts";
import { type PeerId, peerIdFromKey } from "../../../shared/ids.ts";
import type { Contact } from "../../../shared/messages.ts";

const MINUTE_MS = 60_000;
const random = seededRandom(11);
const contact = (...addresses: readonly string[]): Contact => ({
  id: peerIdFromKey(random.bytes(32)),
  addresses,
});
const [HOST, OTHER] = [contact("tcp://host.example:4000"), contact("tcp://192.0.2.9:4000")] as const;

interface World {
  readonly clock: SimClock;
  readonly reentry: Reentry;
  /** When which addresses were dialled, of whom. */
  readonly dials: { readonly atMs: number; readonly contact: Contact }[];
  readonly unanswered: PeerId[];
  readonly warnings: string[];
  readonly up: Set<PeerId>;
  linked: readonly Contact[];
}

function world(bootstrap: readonly Contact[], storage: KeyValueStorage = memoryStorage()): World {
  const clock = new SimClock();
  const warnings: string[] = [];
  const log = { debug() {}, warn: (event: string) => void warnings.push(event) };
  const reentry = new Reentry({
    runtime: simRuntime({ seed: 3, clock, storage, log }),
    network: "demo" as ConstructorParameters<typeof Reentry>[0]["network"],
    bootstrap,
    links: () => made.linked.length,
    linked: () => made.linked,
    async connect(to) {
      made.dials.push({ atMs: clock.monotonicMs(), contact: to });
      if (!made.up.has(to.id)) throw new Error("nobody there");
      made.linked = [to];
    },
    onUnanswered: ({ id }) => made.unanswered.push(id),
  });
  const made: World = {
    clock,
    reentry,
    dials: [],
    unanswered: [],
    warnings,
    up: new Set(),
    linked: [],
  };
  return made;
}

test("a peer to begin with is dialled until it answers, more and more rarely", async () => {
  const made = world([HOST]);
  made.reentry.start();
  await made.clock.advance(10 * MINUTE_MS);
  expect(made.dials.length).toBeGreaterThan(20);
  expect(made.dials.length).toBeLessThan(100);
  expect(new Set(made.unanswered)).toEqual(new Set([HOST.id]));
  made.up.add(HOST.id);
  await made.clock.advance(MINUTE_MS);
  expect(made.linked).toEqual([HOST]);
  const dialled = made.dials.length;
  await made.clock.advance(10 * MINUTE_MS);
  expect(made.dials).toHaveLength(dialled);
  await made.reentry.close();
});

test("a peer to begin with that is remembered elsewhere is dialled there and where it was named, at once", async () => {
  const storage = memoryStorage();
  const before = world([], storage);
  before.linked = [{ id: HOST.id, addresses: ["tcp://198.51.100.1:5000"] }];
  before.reentry.start();
  await before.clock.advance(MINUTE_MS);
  await before.reentry.close();
  const made = world([HOST], storage);
  made.reentry.start();
  await made.clock.advance(5_000);
  expect(made.dials.at(-1)?.contact.addresses).toEqual(["tcp://198.51.100.1:5000", ...HOST.addresses]);
  const times = made.dials.slice(1).map(({ atMs }) => atMs);
  expect(new Set(times).size).toBe(times.length);
  await made.reentry.close();
});

test("a disk that cannot be read or written stops nothing, and is told of once", async () => {
  const fail = (): Promise<never> => Promise.reject(new Error("ENOSPC"));
  const made = world([], { get: fail, set: fail });
  made.reentry.start();
  made.linked = [OTHER];
  await made.clock.advance(10 * MINUTE_MS);
  expect(made.warnings).toEqual(["address book not read", "address book not kept"]);
  made.linked = [];
  await made.clock.advance(10 * MINUTE_MS);
  expect(made.dials.length).toBeGreaterThan(20);
  made.up.add(OTHER.id);
  await made.clock.advance(MINUTE_MS);
  expect(made.linked.map(({ id }) => id)).toEqual([OTHER.id]);
  await made.reentry.close();
});

test("what a full disk did not take is written once there is room, though nothing is new", async () => {
  const kept = memoryStorage();
  let isFull = true;
  const made = world([], {
    get: (key) => kept.get(key),
    set: (key, value) => (isFull ? Promise.reject(new Error("ENOSPC")) : kept.set(key, value)),
  });
  made.reentry.start();
  made.linked = [OTHER];
  await made.clock.advance(7_000);
  made.linked = [];
  await made.clock.advance(30_000);
  isFull = false;
  await made.reentry.close();
  const again = world([], kept);
  again.reentry.start();
  await again.clock.advance(1_000);
  expect(again.dials[0]?.contact.id).toBe(OTHER.id);
  await again.reentry.close();
});
