/** A side that sleeps, and one that stays awake: what both keep, for how long, and how much of it. */
import { expect, test } from "vitest";
import { simLinkPair } from "../../../peer/adapters/sim/link.ts";
import { identityFromSeed } from "../../../peer/identity/identity.ts";
import type { LinkKind } from "../../../peer/links/link.ts";
import type { PeerSession } from "../../../peer/session/session.ts";
import { AWAY_MS, RESUME_MS } from "../../../peer/session/resumption.ts";
import { readAll, writeAll } from "./traffic.ts";
import { inWorld, SimPeer, type World } from "./world.ts";

const TEN_MINUTES_MS = 600_000;

test("a transfer goes on where it was after one side was stopped for ten minutes", () =>
  inWorld({ seed: 21 }, async (world) => {
    const { link, alice, bob } = await world.connect({ bytesPerSecond: 1_000_000 });
    const text = world.random.fork("text").bytes(900_000);
    const arriving = Promise.withResolvers<Uint8Array>();
    world.bob.handlers.set("sleep/1", async (stream) => arriving.resolve(await readAll(stream.readable)));
    const { writable } = await alice.open("sleep/1");
    const random = world.random.fork("pieces");
    const sent = writeAll(writable, text, { random, pieceBytesMax: 65_536 });
    await world.clock.advance(300);
    // Nobody tells the sleeper that the other side has given the path up.
    world.bob.clock.suspend();
    link.cut("neither");
    await world.clock.advance(TEN_MINUTES_MS);
    expect([alice.path.kind, alice.isAway, alice.closed]).toEqual(["none", true, false]);
    expect(bob.path.kind).toBe("direct");
    world.bob.onPathless = () => void world.link({ dialler: "bob" });
    world.bob.clock.resume();
    await world.clock.advance(10);
    bob.check({ slept: true });
    await world.clock.advance(1_500);
    expect([bob.path.kind, alice.path.kind, alice.isAway]).toEqual(["direct", "direct", false]);
    await world.until(sent);
    expect(await world.until(arriving.promise)).toEqual(text);
    expect([...world.alice.told, ...world.bob.told]).not.toContain("end");
  }));

test("its own sleep is not the other side's silence", () =>
  inWorld({ seed: 22 }, async (world) => {
    const { link, bob } = await world.connect();
    link.cut("both");
    await world.clock.advance(10_000);
    world.bob.clock.suspend();
    await world.clock.advance(2 * RESUME_MS);
    world.bob.clock.resume();
    await world.clock.advance(RESUME_MS - 30_000);
    expect(bob.closed).toBe(false);
    await world.clock.advance(40_000);
    expect(bob.closed).toBe(true);
  }));

test("after a minute without a path, and only then, it is said to be away; a stream that is opened asks for a path", () =>
  inWorld({ seed: 23 }, async (world) => {
    const { link, alice } = await world.connect();
    const toldAtMs: number[] = [];
    alice.addEventListener("away", () => toldAtMs.push(world.clock.monotonicMs()));
    link.cut("both");
    const cutAtMs = world.clock.monotonicMs();
    await world.clock.advance(5 * AWAY_MS);
    expect(toldAtMs).toHaveLength(1);
    expect(toldAtMs[0]! - cutAtMs).toBeGreaterThan(AWAY_MS);
    expect(toldAtMs[0]! - cutAtMs).toBeLessThanOrEqual(AWAY_MS + 6_000);
    const asked = world.alice.told.length;
    await alice.open("late/1");
    expect(world.alice.told.slice(asked)).toEqual(["pathless"]);
  }));

test("what waits for paths is bounded: who has been without for longest is given up, with an error that says so", () =>
  inWorld({ seed: 24, heldBytesMax: 1_000_000 }, async (world) => {
    const sessions: PeerSession[] = [];
    const links = [];
    for (let i = 0; i < 4; i++) {
      const { link, session } = await meetAnother(world, i);
      links.push(link);
      sessions.push(session);
    }
    const ended: unknown[][] = [];
    for (const [index, session] of sessions.entries())
      session.addEventListener("close", (event) => ended.push([index, (event as CustomEvent).detail]));
    for (const link of links) {
      link.cut("both");
      await world.clock.advance(100);
    }
    expect(ended).toEqual([]);
    // Each may write while it waits; what it writes counts as soon as it is looked at.
    for (const session of sessions) {
      const { writable } = await session.open("bulk/1");
      await world.until(writable.getWriter().write(new Uint8Array(400_000)));
    }
    await world.clock.advance(6_000);
    expect(ended).toEqual([
      [0, "session/lost"],
      [1, "session/lost"],
    ]);
    expect(sessions.map(({ heldBytes, closed }) => closed || heldBytes > 400_000)).toEqual(
      Array(4).fill(true),
    );
  }));

/** Alice has a session with yet another peer. */
async function meetAnother(
  world: World,
  index: number,
): Promise<{ link: ReturnType<typeof simLinkPair<LinkKind>>; session: PeerSession }> {
  const seed = world.random.fork(`other ${index}`).bytes(32);
  const other = new SimPeer("bob", await identityFromSeed(seed), world, {});
  const random = world.random.fork(`link to ${index}`);
  const link = simLinkPair<LinkKind>({ clock: world.clock, random, kind: "tcp" });
  other.sessions.accept(link.second);
  const { signal } = new AbortController();
  const session = await world.until(world.alice.sessions.connectOver(other.identity.id, link.first, signal));
  await world.clock.advance(100);
  return { link, session };
}
