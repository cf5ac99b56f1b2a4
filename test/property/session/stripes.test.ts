/**
 * Bulk over several WebRTC connections at once. Each is a reliable pipe that stands still now and then, as SCTP does while it repeats a lost
 * packet; order and completeness are the session's to make, and the slowest must not hold up the others.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { STRIPES_MAX } from "../../../peer/session/stripe-plan.ts";
import { pingMs, pourForEver } from "./bulk.ts";
import { type Accident, play } from "./script.ts";
import { inWorld, type LinkInWorld, type Wire, type World } from "./world.ts";

const stripe: fc.Arbitrary<Wire> = fc.record({
  dialler: fc.constantFrom("alice", "bob"),
  kind: fc.constant("webrtc"),
  latencyMs: fc.integer({ min: 5, max: 120 }),
  jitterMs: fc.integer({ min: 0, max: 60 }),
  bytesPerSecond: fc.constantFrom(60_000, 300_000, 2_000_000),
});
const mishap: fc.Arbitrary<Accident> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("pause" as const),
      afterMs: fc.integer({ min: 0, max: 6_000 }),
      link: fc.nat(7),
      forMs: fc.integer({ min: 50, max: 3_000 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("cut" as const),
      afterMs: fc.integer({ min: 0, max: 6_000 }),
      link: fc.nat(7),
      noticed: fc.constantFrom("both", "first", "second", "neither"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("close" as const),
      afterMs: fc.integer({ min: 0, max: 6_000 }),
      link: fc.nat(7),
      by: fc.constantFrom("first", "second"),
    }),
  },
);

test("every byte arrives once and in order over stripes that stall, die and differ", () =>
  fc.assert(
    fc.asyncProperty(
      fc.record({
        seed: fc.nat(),
        sealingMsMax: fc.constantFrom(0, 3),
        wires: fc.array(stripe, { minLength: 2, maxLength: 8 }),
        accidents: fc.array(mishap, { maxLength: 12 }),
        there: fc.integer({ min: 100_000, max: 1_500_000 }),
        back: fc.integer({ min: 0, max: 500_000 }),
      }),
      ({ seed, sealingMsMax, wires, accidents, there, back }) =>
        play({
          seed,
          sealingMsMax,
          wires,
          flows: [
            { opener: "alice", priority: "bulk", there, back, pieceBytesMax: 65_536, readerRestsMs: 0 },
            {
              opener: "bob",
              priority: "interactive",
              there: 2_000,
              back: 2_000,
              pieceBytesMax: 100,
              readerRestsMs: 0,
            },
          ],
          accidents,
          relinkMs: 500,
        }),
    ),
    { numRuns: 30, interruptAfterTimeLimit: 12_000 },
  ));

const SLOW = { kind: "webrtc", latencyMs: 25, bytesPerSecond: 280_000 } as const;

test("stripes add up, though each stands still a tenth of the time", () =>
  inWorld({ seed: 11 }, async (world) => {
    await openStripes(world, 8, SLOW);
    for (const link of world.links) stutter(world, link);
    const received: number[] = [];
    await pourForEver(world, "bulk", received, 0);
    await world.clock.advance(4_000);
    const before = received[0]!;
    await world.clock.advance(10_000);
    expect((received[0]! - before) / 10).toBeGreaterThan(0.65 * 8 * SLOW.bytesPerSecond);
  }));

test("a ping beside striped bulk takes at most twice the idle one and 60 ms", () =>
  inWorld({ seed: 12 }, async (world) => {
    await openStripes(world, 8, SLOW);
    world.bob.handlers.set("echo/1", (stream) => stream.readable.pipeTo(stream.writable));
    const idle = await pingMs(world, 5, "interactive");
    await pourForEver(world, "bulk", [], 0);
    await world.clock.advance(4_000);
    const busy = await pingMs(world, 20, "interactive");
    expect(busy[10]).toBeLessThanOrEqual(2 * idle[2]! + 60);
  }));

test("more stripes are asked for when they help, and given back when nothing is sent any more", () =>
  inWorld({ seed: 13 }, async (world) => {
    const { alice } = await world.connect(SLOW);
    const wanted: number[] = [];
    alice.addEventListener("stripes", () => {
      wanted.push(alice.stripesWanted);
      while (world.links.length < alice.stripesWanted) world.link(SLOW);
    });
    world.bob.handlers.set("sink/0", (stream) => stream.readable.pipeTo(new WritableStream()));
    const stream = await alice.open("sink/0", { priority: "bulk" });
    const writer = stream.writable.getWriter();
    let pouring = true;
    const poured = (async () => {
      while (pouring) await writer.write(new Uint8Array(65_536));
    })();
    await world.clock.advance(8_000);
    expect(alice.stripes).toBe(STRIPES_MAX);
    pouring = false;
    await world.until(poured);
    await world.clock.advance(30_000);
    expect(wanted).toEqual([4, 16, 1]);
  }));

async function openStripes(world: World, count: number, wire: Wire): Promise<void> {
  await world.connect(wire);
  const more = Array.from({ length: count - 1 }, () => world.link(wire).connected);
  await world.until(Promise.all(more));
  await world.clock.advance(500);
}

/** Now and then 200 ms of nothing: about every two seconds. */
function stutter(world: World, link: LinkInWorld): void {
  const random = world.random.fork(`stutter ${world.links.indexOf(link)}`);
  const again = (): void => {
    world.clock.schedule(random.integer(1_000, 2_600), () => {
      link.pause();
      world.clock.schedule(200, () => {
        link.resume();
        again();
      });
    });
  };
  again();
}
