/** How a peer that nobody is linked to gets back: whom it dials and how often. */
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
const HOST = contact("tcp://host.example:4000");

interface World {
  readonly clock: SimClock;
  readonly reentry: Reentry;
  /** When which addresses were dialled, of whom. */
  readonly dials: { readonly atMs: number; readonly contact: Contact }[];
  readonly unanswered: PeerId[];
  readonly up: Set<PeerId>;
  linked: readonly Contact[];
}

function world(bootstrap: readonly Contact[], storage: KeyValueStorage = memoryStorage()): World {
  const clock = new SimClock();
  const reentry = new Reentry({
    runtime: simRuntime({ seed: 3, clock, storage }),
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
