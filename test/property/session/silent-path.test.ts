/** A direct path that falls silent under a transfer while a relay stands: how soon bytes flow again, and when the path is gone back to. */
import { expect, test } from "vitest";
import { STREAMS_QUIET_MS } from "../../../peer/session/mux.ts";
import { readAll } from "./traffic.ts";
import { inWorld, type LinkInWorld, type Wire, type World } from "./world.ts";

const DIRECT: Wire = { kind: "webrtc", latencyMs: 10 };
const PIECE = new Uint8Array(16_384);

/** Alice sends a piece every 20 ms, over the direct paths beside which a relay stands. */
async function flowing(
  world: World,
  directs: readonly Wire[],
): Promise<{ links: LinkInWorld[]; cameAtMs: number[] }> {
  const { alice } = await world.connect({ kind: "relay", latencyMs: 15 });
  const links = directs.map((wire) => world.link(wire));
  for (const { connected } of links) await world.until(connected);
  const cameAtMs: number[] = [];
  world.bob.handlers.set("flow/1", async ({ readable }) => {
    for await (const _ of readable) cameAtMs.push(world.clock.monotonicMs());
  });
  const { writable } = await alice.open("flow/1");
  const writer = writable.getWriter();
  const pour = async (): Promise<void> => {
    for (;;) {
      await writer.write(PIECE);
      await world.clock.sleep(20);
    }
  };
  void pour().catch(() => {}); // Until the world ends.
  await world.clock.advance(3_000);
  expect(alice.path.kind).toBe("direct");
  return { links, cameAtMs };
}

/** The longest time without bytes since then. */
function longestGapMs(world: World, cameAtMs: readonly number[], sinceMs: number): number {
  const times = [sinceMs, ...cameAtMs.filter((ms) => ms > sinceMs), world.clock.monotonicMs()];
  return Math.max(...times.slice(1).map((ms, i) => ms - times[i]!));
}

test("what is heard from there does not bring it back while what is sent there does not arrive", () =>
  inWorld({ seed: 51 }, async (world) => {
    const { links, cameAtMs } = await flowing(world, [DIRECT]);
    const [direct] = links;
    const alice = world.sessionOf("alice")!;
    const moves: string[] = [];
    alice.addEventListener("path", () => moves.push(alice.path.transport));
    const killedAtMs = world.clock.monotonicMs();
    direct!.pause();
    await world.clock.advance(1_000);
    // Bob's transport tries again before Alice's does.
    direct!.second.resume();
    await world.clock.advance(900);
    expect(moves).toEqual(["relay"]);
    direct!.first.resume();
    await world.clock.advance(200);
    expect(moves).toEqual(["relay", "webrtc"]);
    expect(longestGapMs(world, cameAtMs, killedAtMs)).toBeLessThan(800);
  }));

test.each([
  { kind: "tcp", pings: 30, deadMs: 33_000 },
  { kind: "relay", pings: 10, deadMs: 93_000 },
] as const)(
  "an idle session asks over $kind now and then, and finds out that it is dead",
  ({ kind, pings, deadMs }) =>
    inWorld({ seed: 56 }, async (world) => {
      let frames = 0;
      const count = (frame: Uint8Array): Uint8Array[] => {
        frames += 1;
        return [frame];
      };
      const { alice, bob, link } = await world.connect({ kind, latencyMs: 15, meddler: count });
      await world.clock.advance(60_000);
      frames = 0;
      await world.clock.advance(600_000);
      // A ping and its answer each time.
      expect(frames).toBeGreaterThan(0);
      expect(frames).toBeLessThanOrEqual(2 * pings);
      link.cut("neither");
      await world.clock.advance(deadMs);
      expect([alice.path.kind, bob.path.kind]).toEqual(["none", "none"]);
    }),
);

test("a stream that nobody uses costs hardly a frame, and the first byte after a long silence finds the path that lives", () =>
  inWorld({ seed: 55 }, async (world) => {
    let frames = 0;
    const count = (frame: Uint8Array): Uint8Array[] => {
      frames += 1;
      return [frame];
    };
    const { alice } = await world.connect({ kind: "relay", latencyMs: 15 });
    const direct = world.link({ ...DIRECT, meddler: count });
    await world.until(direct.connected);
    const arrived = Promise.withResolvers<void>();
    world.bob.handlers.set("rare/1", async ({ readable }) => {
      for await (const _ of readable) arrived.resolve();
    });
    const writer = (await alice.open("rare/1")).writable.getWriter();
    await world.clock.advance(STREAMS_QUIET_MS + 1_000);
    frames = 0;
    await world.clock.advance(120_000);
    // A ping and its answer each twenty seconds, where a stream in use has them each second.
    expect(frames).toBeGreaterThanOrEqual(8);
    expect(frames).toBeLessThanOrEqual(16);
    direct.pause();
    const writtenAtMs = world.clock.monotonicMs();
    await writer.write(PIECE);
    await world.until(arrived.promise);
    expect(world.clock.monotonicMs() - writtenAtMs).toBeLessThan(1_500);
  }));

test("the only path is hardly asked while words come, and both see it die within three seconds, also who only reads", () =>
  inWorld({ seed: 56 }, async (world) => {
    const frames = { "to-first": 0, "to-second": 0 };
    const { link, alice, bob } = await world.connect({
      latencyMs: 10,
      meddler: (frame, direction) => {
        frames[direction] += 1;
        return [frame];
      },
    });
    world.bob.handlers.set("words/1", async ({ readable }) => void (await readAll(readable)));
    const writer = (await alice.open("words/1")).writable.getWriter();
    const speak = async (): Promise<void> => {
      for (;;) {
        await writer.write(new Uint8Array(100));
        await world.clock.sleep(200);
      }
    };
    void speak().catch(() => {}); // Until the world ends.
    await world.clock.advance(5_000);
    frames["to-first"] = frames["to-second"] = 0;
    await world.clock.advance(20_000);
    // Five words a second and their acknowledgements; each side asks and answers each four seconds.
    expect(frames["to-first"]).toBeLessThanOrEqual(100 + 2 * 6);
    expect(frames["to-second"]).toBeLessThanOrEqual(100 + 2 * 6);
    const goneAfterMs: number[] = [];
    const diedAtMs = world.clock.monotonicMs();
    for (const session of [alice, bob])
      session.addEventListener("path", () => goneAfterMs.push(world.clock.monotonicMs() - diedAtMs));
    link.pause();
    await world.clock.advance(3_100);
    expect(goneAfterMs).toHaveLength(2);
    expect(Math.max(...goneAfterMs)).toBeLessThanOrEqual(3_010);
  }));

test("what was spread over several that go the same way is not waited for on any of them", () =>
  inWorld({ seed: 52 }, async (world) => {
    // Little fits into each, so that both carry.
    const narrow = { ...DIRECT, bytesPerSecond: 500_000 };
    const { links, cameAtMs } = await flowing(world, [narrow, narrow]);
    const killedAtMs = world.clock.monotonicMs();
    for (const link of links) link.pause();
    await world.clock.advance(1_900);
    expect(longestGapMs(world, cameAtMs, killedAtMs)).toBeLessThan(750);
  }));

test("direct paths of two kinds that die together are left together", () =>
  inWorld({ seed: 54 }, async (world) => {
    const { links, cameAtMs } = await flowing(world, [DIRECT, { kind: "tcp", latencyMs: 10 }]);
    const killedAtMs = world.clock.monotonicMs();
    for (const link of links) link.pause();
    await world.clock.advance(1_900);
    expect(longestGapMs(world, cameAtMs, killedAtMs)).toBeLessThan(750);
  }));

test("where one of them lives it is gone to as soon as it has answered", () =>
  inWorld({ seed: 55 }, async (world) => {
    const { links, cameAtMs } = await flowing(world, [DIRECT, { kind: "tcp", latencyMs: 10 }]);
    const killedAtMs = world.clock.monotonicMs();
    links[1]!.pause();
    await world.clock.advance(800);
    expect(world.sessionOf("alice")!.path.transport).toBe("webrtc");
    expect(longestGapMs(world, cameAtMs, killedAtMs)).toBeLessThan(750);
  }));

test("one interruption after the other: each is seen as soon as the first", () =>
  inWorld({ seed: 53 }, async (world) => {
    const { links, cameAtMs } = await flowing(world, [DIRECT]);
    const [direct] = links;
    const gapsMs: number[] = [];
    for (let i = 0; i < 12; i++) {
      const killedAtMs = world.clock.monotonicMs();
      direct!.pause();
      await world.clock.advance(1_200);
      direct!.resume();
      await world.clock.advance(300);
      expect(world.sessionOf("alice")!.path.transport).toBe("webrtc");
      gapsMs.push(longestGapMs(world, cameAtMs, killedAtMs));
    }
    expect(Math.max(...gapsMs)).toBeLessThan(650);
  }));
