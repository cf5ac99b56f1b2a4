/** A session with two live paths of which the preferred one becomes bad: it moves, once, and comes back when that is over. */
import { expect, test } from "vitest";
import { readAll, writeAll } from "./traffic.ts";
import { inWorld, type LinkInWorld, type World } from "./world.ts";

const USED_EVERY_MS = 5_000;

/** A TCP path of 40 ms and another one; a stream is in use, so that the paths are watched. @returns the moves as they come */
async function twoPaths(
  world: World,
  otherKind: "webrtc" | "relay",
): Promise<{ tcp: LinkInWorld; moves: string[] }> {
  const { link: tcp, alice } = await world.connect({ kind: "tcp", latencyMs: 20 });
  await world.until(world.link({ kind: otherKind, latencyMs: 25 }).connected);
  world.bob.handlers.set("hold/1", async ({ readable }) => void (await readAll(readable)));
  const writer = (await alice.open("hold/1")).writable.getWriter();
  const use = async (): Promise<void> => {
    for (;;) {
      await writer.write(Uint8Array.of(0));
      await world.clock.sleep(USED_EVERY_MS);
    }
  };
  void use().catch(() => {}); // Until the world ends.
  await world.clock.advance(3_000);
  expect(alice.path.transport).toBe("tcp");
  const moves: string[] = [];
  alice.addEventListener("path", () => moves.push(alice.path.transport));
  return { tcp, moves };
}

test("it moves to the other within ten seconds, once, and back in time", () =>
  inWorld({ seed: 41 }, async (world) => {
    const { tcp, moves } = await twoPaths(world, "webrtc");
    tcp.slow(300);
    await world.clock.advance(10_000);
    expect(moves).toEqual(["webrtc"]);
    await world.clock.advance(120_000);
    expect(moves).toEqual(["webrtc"]);
    tcp.slow(20);
    await world.clock.advance(40_000);
    expect(moves).toEqual(["webrtc", "tcp"]);
  }));

test("a path that is bad every other while does not drag the session to and fro", () =>
  inWorld({ seed: 42 }, async (world) => {
    const { tcp, moves } = await twoPaths(world, "webrtc");
    for (let i = 0; i < 20; i++) {
      tcp.slow(i % 2 === 0 ? 300 : 20);
      await world.clock.advance(30_000);
    }
    expect(moves.length).toBeLessThanOrEqual(6);
  }));

test("a little worse is not worth a move; through the edge it goes only when the direct path is all but useless", () =>
  inWorld({ seed: 43 }, async (world) => {
    const { tcp, moves } = await twoPaths(world, "relay");
    tcp.slow(150);
    await world.clock.advance(60_000);
    expect(moves).toEqual([]);
    tcp.slow(500);
    await world.clock.advance(15_000);
    expect(moves).toEqual(["relay"]);
  }));

test("what is under way meanwhile arrives once and in order", () =>
  inWorld({ seed: 44 }, async (world) => {
    const { tcp, moves } = await twoPaths(world, "webrtc");
    const random = world.random.fork("text");
    const text = random.bytes(3_000_000);
    const arriving = Promise.withResolvers<Uint8Array>();
    world.bob.handlers.set("text/1", async (stream) => arriving.resolve(await readAll(stream.readable)));
    const { writable } = await world.sessionOf("alice")!.open("text/1");
    const rest = { clock: world.clock, msMax: 600 };
    const sent = writeAll(writable, text, { random, pieceBytesMax: 65_536, rest });
    await world.clock.advance(1_000);
    tcp.slow(400);
    await world.until(sent);
    expect(await world.until(arriving.promise)).toEqual(text);
    expect(moves).toEqual(["webrtc"]);
  }));
