/** Bulk does not starve: a ping beside a saturating transfer stays quick, and equals get equal shares. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { pingMs, pourForEver } from "./bulk.ts";
import { inWorld } from "./world.ts";

/** A ping under a saturated bulk stream takes at most twice the idle one and this: what bulk may queue, and one frame. */
const EXTRA_MS = 60;

test("a ping beside bulk takes at most twice the idle one and 60 ms", () =>
  fc.assert(
    fc.asyncProperty(
      fc.record({
        seed: fc.nat(),
        latencyMs: fc.integer({ min: 1, max: 60 }),
        bytesPerSecond: fc.constantFrom(1_000_000, 3_000_000, 8_000_000),
        bulkStreams: fc.integer({ min: 1, max: 4 }),
      }),
      ({ seed, latencyMs, bytesPerSecond, bulkStreams }) =>
        inWorld({ seed }, async (world) => {
          await world.connect({ latencyMs, bytesPerSecond });
          world.bob.handlers.set("echo/1", (stream) => stream.readable.pipeTo(stream.writable));
          const idle = await pingMs(world, 5, "interactive");
          for (let i = 0; i < bulkStreams; i++) await pourForEver(world, "bulk", [], i);
          await world.clock.advance(4_000);
          const busy = await pingMs(world, 20, "interactive");
          expect(busy[10]).toBeLessThanOrEqual(2 * idle[2]! + EXTRA_MS);
        }),
    ),
    { numRuns: 12, interruptAfterTimeLimit: 12_000 },
  ));

test("streams of one class share alike", () =>
  inWorld({ seed: 1 }, async (world) => {
    await world.connect({ latencyMs: 10, bytesPerSecond: 4_000_000 });
    const received: number[] = [];
    for (let i = 0; i < 4; i++) await pourForEver(world, "normal", received, i);
    await world.clock.advance(10_000);
    const total = received.reduce((a, b) => a + b);
    expect(total).toBeGreaterThan(0.85 * 40_000_000);
    for (const bytes of received) expect(bytes / total).toBeCloseTo(0.25, 1);
  }));

test("normal streams get about four turns for one of bulk, and bulk is not starved", () =>
  inWorld({ seed: 2 }, async (world) => {
    await world.connect({ latencyMs: 10, bytesPerSecond: 4_000_000 });
    const received: number[] = [];
    await pourForEver(world, "normal", received, 0);
    await pourForEver(world, "bulk", received, 1);
    await world.clock.advance(10_000);
    const share = received[1]! / (received[0]! + received[1]!);
    expect(share).toBeGreaterThan(0.1);
    expect(share).toBeLessThan(0.35);
  }));

test("a long fat path is filled", () =>
  fc.assert(
    fc.asyncProperty(fc.nat(), fc.integer({ min: 5, max: 75 }), (seed, latencyMs) =>
      inWorld({ seed }, async (world) => {
        const bytesPerSecond = 8_000_000;
        await world.connect({ latencyMs, bytesPerSecond });
        const received: number[] = [];
        await pourForEver(world, "bulk", received, 0);
        await world.clock.advance(3_000);
        const before = received[0]!;
        await world.clock.advance(5_000);
        expect((received[0]! - before) / 5).toBeGreaterThan(0.8 * bytesPerSecond);
      }),
    ),
    { numRuns: 5, interruptAfterTimeLimit: 20_000 },
  ));
