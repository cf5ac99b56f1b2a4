/** Records as an application uses them, in bulk and over hours. */
import { expect, test } from "vitest";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import { LINK_BUDGETS } from "../../../peer/overlay/mesh/link-table.ts";
import type { Mesh } from "../../../peer/overlay/mesh/mesh.ts";
import type { ServiceHost } from "../../../peer/services/host.ts";
import { Records } from "../../../peer/services/records/records.ts";
import { buildNetwork } from "../../../peer/simulation/oracle.ts";
import { type SimPeer, World } from "../../../peer/simulation/world.ts";
import { DEFAULT_NETWORK, peerIdFromKey } from "../../../shared/ids.ts";

function recordsOver(mesh: Mesh, clock: SyncClock): Records {
  const host: ServiceHost = {
    id: peerIdFromKey(seededRandom(3).bytes(32)),
    network: DEFAULT_NETWORK,
    runtime: { ...simRuntime({ seed: 1, clock: new SimClock() }), clock },
    addresses: () => [],
    connect: () => Promise.reject(new Error("nobody")),
    sessions: () => [],
    sign: () => Promise.reject(new Error("nothing to sign")),
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
