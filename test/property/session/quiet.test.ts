/** A session with an open stream on which nothing is said: it is asked rarely, a dead path is found out all the same, and at once when something is said. */
import { expect, test } from "vitest";
import { inWorld, type LinkInWorld, type World } from "./world.ts";

const SETTLED_MS = 20_000;

async function quiet(world: World): Promise<{ tcp: LinkInWorld; say: () => Promise<void> }> {
  const { link: tcp, alice } = await world.connect({ kind: "tcp", latencyMs: 10 });
  world.bob.handlers.set("hold/1", ({ readable }) => readable.pipeTo(new WritableStream()));
  const stream = await alice.open("hold/1");
  const writer = stream.writable.getWriter();
  await world.clock.advance(SETTLED_MS);
  return { tcp, say: () => writer.write(Uint8Array.of(1)) };
}

/** Frames that go over the link in so long. */
async function framesIn(world: World, link: LinkInWorld, ms: number): Promise<number> {
  let frames = 0;
  for (const end of [link.first, link.second]) {
    const send = end.send.bind(end);
    end.send = (parts) => {
      frames += 1;
      send(parts);
    };
  }
  await world.clock.advance(ms);
  return frames;
}

test("one ping in five seconds and its answer are all that goes over it", () =>
  inWorld({ seed: 61 }, async (world) => {
    const { tcp } = await quiet(world);
    expect(await framesIn(world, tcp, 60_000)).toBeLessThanOrEqual(2 * (60 / 5));
  }));

test("who says little, as the overlay does for its upkeep, leaves it quiet; who says more does not", () =>
  inWorld({ seed: 62 }, async (world) => {
    const { tcp, say } = await quiet(world);
    const counted = framesIn(world, tcp, 60_000);
    for (let i = 0; i < 6; i++) {
      await say();
      await world.clock.advance(10_000);
    }
    // Each is acknowledged, and may bring a ping from either side.
    expect(await counted).toBeLessThanOrEqual(2 * (60 / 5) + 6 * 6);
    for (let i = 0; i < 20; i++) {
      await say();
      await world.clock.advance(500);
    }
    expect(await framesIn(world, tcp, 5_000)).toBeGreaterThanOrEqual(2 * 2 * 4);
  }));

test("its dead path is found out by both within ten seconds", () =>
  inWorld({ seed: 63 }, async (world) => {
    const { tcp } = await quiet(world);
    tcp.pause();
    await world.clock.advance(10_000);
    expect([world.sessionOf("alice")?.path.kind, world.sessionOf("bob")?.path.kind]).toEqual([
      "none",
      "none",
    ]);
  }));

test("and left within a second of what is said", () =>
  inWorld({ seed: 64 }, async (world) => {
    const { tcp, say } = await quiet(world);
    await world.until(world.link({ kind: "relay", latencyMs: 15 }).connected);
    await world.clock.advance(SETTLED_MS);
    tcp.pause();
    await say();
    await world.clock.advance(1_000);
    expect(world.sessionOf("alice")?.path.kind).toBe("relay");
  }));
