/** Who makes a new path for a session that has lost all: when it dials, and when it leaves it. */
import { expect, test } from "vitest";
import { Upgrader } from "../../../peer/overlay/upgrader.ts";
import type { PeerSession } from "../../../peer/session/session.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { inWorld, type World } from "./world.ts";

/** Alice's session has lost its path, and every dial fails after 100 ms. */
async function lost(
  world: World,
): Promise<{ alice: PeerSession; upgrader: Upgrader; dialsMs: number[]; cutAtMs: number }> {
  const { clock, random } = world;
  const { alice, link } = await world.connect();
  const dialsMs: number[] = [];
  const upgrader = new Upgrader({
    runtime: { clock, random: random.fork("backoff"), log: { debug() {}, warn() {} } } as never,
    rtc: undefined,
    policy: "relay",
    listenAddresses: () => [],
    sessions: { connectOver: () => Promise.reject(new Error("not used")) },
    connector: {
      dialAddresses: () => Promise.reject(new Error("not used")),
      connect: async () => {
        dialsMs.push(clock.monotonicMs() - cutAtMs);
        await clock.sleep(100);
        throw new PeerloomError("connect/no-path", "Nobody is there.");
      },
    },
  });
  upgrader.watch(alice);
  world.alice.onPathless = () => upgrader.revive(alice);
  const cutAtMs = clock.monotonicMs();
  link.cut("both");
  return { alice, upgrader, dialsMs, cutAtMs };
}

test("a session with a stream open is dialled for as long as it is kept, more and more rarely, never in step", () =>
  inWorld({ seed: 31 }, async (world) => {
    const { alice, dialsMs, upgrader } = await lost(world);
    await alice.open("open/1");
    await world.clock.advance(600_000);
    const pausesMs = dialsMs.slice(1).map((ms, i) => ms - dialsMs[i]!);
    expect(dialsMs[0]).toBeLessThan(10);
    expect(dialsMs.filter((ms) => ms < 60_000).length).toBeGreaterThan(10);
    const lateMs = pausesMs.filter((_, i) => dialsMs[i]! > 70_000);
    expect(lateMs.length).toBeGreaterThan(10);
    expect(Math.max(...lateMs)).toBeLessThanOrEqual(60_200);
    expect(lateMs.length).toBeLessThan(60);
    expect(new Set(lateMs).size).toBe(lateMs.length);
    upgrader.forget(alice);
  }));

test("a session that nobody uses is dialled for a minute, then when something wakes it or it is used", () =>
  inWorld({ seed: 32 }, async (world) => {
    const { alice, dialsMs, upgrader } = await lost(world);
    await world.clock.advance(80_000);
    const count = dialsMs.length;
    await world.clock.advance(300_000);
    expect(dialsMs.length).toBe(count);
    upgrader.wake(alice);
    await world.clock.advance(10);
    expect(dialsMs.length).toBe(count + 1);
    await world.clock.advance(300_000);
    const woken = dialsMs.length;
    await alice.open("used/1");
    await world.clock.advance(10);
    expect(dialsMs.length).toBe(woken + 1);
    upgrader.forget(alice);
  }));

test("who has woken up dials at once, though it waited long before", () =>
  inWorld({ seed: 33 }, async (world) => {
    const { alice, dialsMs, upgrader } = await lost(world);
    await alice.open("open/1");
    await world.clock.advance(400_000);
    const count = dialsMs.length;
    upgrader.wake(alice);
    await world.clock.advance(3_000);
    expect(dialsMs.length).toBeGreaterThan(count + 2);
    upgrader.forget(alice);
  }));
