/** Who else is in a topic, when no session stands: asked of records, heard of neighbours, dialled while few are known. */
import { expect, test } from "vitest";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import type { ServiceHost } from "../../../peer/services/host.ts";
import { Finder, SUBSCRIBERS_WANTED } from "../../../peer/services/topics/finder.ts";
import type { Session } from "../../../peer/session/contract.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { DEFAULT_NETWORK, type PeerId, peerIdFromKey } from "../../../shared/ids.ts";

const random = seededRandom(3);
const peer = (): PeerId => peerIdFromKey(random.bytes(32));
const KEY = "ab".repeat(32);

interface World {
  readonly clock: SyncClock;
  readonly finder: Finder;
  readonly dialled: PeerId[];
  readonly released: PeerId[];
  readonly subscribers: Set<PeerId>;
  readonly stop: AbortController;
  provided: number;
  asked: number;
}

/** @param silent are reached, and not in the topic; @param dead are not reached */
function world(
  providers: readonly PeerId[],
  silent: readonly PeerId[] = [],
  dead: readonly PeerId[] = [],
): World {
  const clock = new SyncClock();
  const stop = new AbortController();
  const world: Omit<World, "finder"> = {
    clock,
    dialled: [],
    released: [],
    subscribers: new Set(),
    stop,
    provided: 0,
    asked: 0,
  };
  const host: ServiceHost = {
    id: peer(),
    network: DEFAULT_NETWORK,
    runtime: { ...simRuntime({ seed: 1, clock: new SimClock() }), clock },
    addresses: () => [],
    connect: (id) => {
      world.dialled.push(id);
      if (dead.includes(id)) return Promise.reject(new PeerloomError("connect/no-path", "gone"));
      if (!silent.includes(id)) world.subscribers.add(id);
      return Promise.resolve({ peerId: id } as Session);
    },
    sessions: () => [],
    sign: () => Promise.reject(new Error("nothing to sign")),
    isLinked: () => Promise.resolve(true),
    handle: () => () => {},
  };
  const finder = new Finder({
    host,
    records: {
      provide: () => Promise.resolve(() => (world.provided -= 1)).finally(() => (world.provided += 1)),
      providers: () => {
        world.asked += 1;
        return Promise.resolve(providers);
      },
    },
    keyText: KEY,
    signal: stop.signal,
    isSubscriber: (id) => world.subscribers.has(id),
    isWelcome: () => true,
    subscriberCount: () => world.subscribers.size,
    release: ({ peerId }) => void world.released.push(peerId),
  });
  return Object.assign(world, { finder });
}

/** Promises first, then time. */
async function pass(clock: SyncClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 50) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(50);
  }
  await new Promise((resolve) => setImmediate(resolve));
}

test("says that it is in the topic, dials those that records name, and takes its word back", async () => {
  const providers = [peer(), peer()];
  const { clock, dialled, finder, stop, ...rest } = world(providers);
  await pass(clock, 500);
  expect(dialled.toSorted()).toEqual(providers.toSorted());
  finder.heard(providers);
  const third = peer();
  finder.heard([third]);
  await pass(clock, 500);
  expect(dialled.filter((id) => id === third)).toHaveLength(1);
  expect(dialled).toHaveLength(3);
  stop.abort();
  finder.heard([peer()]);
  await pass(clock, 500);
  expect(dialled).toHaveLength(3);
  expect(rest.asked).toBeLessThanOrEqual(1);
});

test("when enough are known, one more is met for each answer of the records, and nobody else", async () => {
  const providers = Array.from({ length: 20 }, peer);
  const { clock, dialled, finder } = world(providers);
  await pass(clock, 1_000);
  expect(dialled.length).toBeGreaterThanOrEqual(SUBSCRIBERS_WANTED);
  expect(dialled.length).toBeLessThanOrEqual(SUBSCRIBERS_WANTED + 2);
  finder.heard(Array.from({ length: 8 }, peer));
  await pass(clock, 1_000);
  expect(dialled.length).toBeLessThanOrEqual(SUBSCRIBERS_WANTED + 2);
});

test("who is not there is tried again later and given up, who is not in the topic is let go", async () => {
  const [silent, dead] = [peer(), peer()];
  const { clock, dialled, finder, released } = world([], [silent], [dead]);
  finder.heard([silent, dead]);
  for (let i = 0; i < 120; i++) {
    await pass(clock, 1_000);
    finder.look();
  }
  expect(released).toContain(silent);
  expect(dialled.filter((id) => id === dead)).toHaveLength(5);
  expect(dialled.filter((id) => id === silent)).toHaveLength(5);
});

test("when the last neighbour is lost, records are asked again soon, and not more often for one that comes and goes", async () => {
  const all = world([]);
  const { clock, finder, subscribers } = all;
  const look = async (seconds: number): Promise<number> => {
    const before = all.asked;
    for (let i = 0; i < seconds; i++) {
      await pass(clock, 1_000);
      finder.look();
    }
    return all.asked - before;
  };
  const friend = peer();
  subscribers.add(friend);
  // By now it asks every 120 s or so.
  await look(600);
  subscribers.delete(friend);
  expect(await look(3)).toBe(1);
  for (let i = 0; i < 20; i++) {
    subscribers.add(friend);
    finder.look();
    subscribers.delete(friend);
    finder.look();
  }
  expect(await look(3)).toBeLessThanOrEqual(2);
});
