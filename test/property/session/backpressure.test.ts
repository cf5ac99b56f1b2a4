/** Bounds: a reader that stops stops its writer, and neither side holds more than it says, whoever reads or does not. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { STREAM_SEND_QUEUE_BYTES, STREAM_WINDOW_BYTES } from "../../../peer/session/mux-stream.ts";
import { STREAMS_MAX } from "../../../peer/session/mux.ts";
import { LINK_BUFFER_HIGH_BYTES } from "../../../peer/links/link.ts";
import { FRAME_BYTES_MAX } from "../../../shared/limits.ts";
import { readAll } from "./traffic.ts";
import { inWorld, type Wire, type World } from "./world.ts";

const FEW = { numRuns: 10 };
const wire: fc.Arbitrary<Wire> = fc.record({
  latencyMs: fc.integer({ min: 0, max: 100 }),
  bytesPerSecond: fc.constantFrom(1_000_000, 20_000_000, Infinity),
});

/** Writes for ever. @returns how many bytes the stream has taken so far */
function pour(writable: WritableStream<Uint8Array>, pieceBytes: number): () => number {
  const writer = writable.getWriter();
  let taken = 0;
  const writing = (async () => {
    for (;;) {
      await writer.write(new Uint8Array(pieceBytes));
      taken += pieceBytes;
    }
  })();
  writing.catch(() => {}); // The session ends some time.
  return () => taken;
}

async function openUnread(world: World): Promise<WritableStream<Uint8Array>> {
  world.bob.handlers.set("unread/1", (stream) => stream.closed);
  return (await world.sessionOf("alice")!.open("unread/1")).writable;
}

test("a reader that never reads stops its writer at the window and the queue", () =>
  fc.assert(
    fc.asyncProperty(fc.nat(), wire, fc.constantFrom(1_000, 65_536, 300_000), (seed, each, pieceBytes) =>
      inWorld({ seed }, async (world) => {
        await world.connect(each);
        const taken = pour(await openUnread(world), pieceBytes);
        await world.clock.advance(10_000);
        const stoppedAt = taken();
        expect(stoppedAt).toBeGreaterThan(STREAM_WINDOW_BYTES / 2);
        expect(stoppedAt).toBeLessThanOrEqual(STREAM_WINDOW_BYTES + STREAM_SEND_QUEUE_BYTES + pieceBytes);
        await world.clock.advance(60_000);
        expect(taken()).toBe(stoppedAt);
      }),
    ),
    FEW,
  ));

test("what was written has departed when the path has taken it, long after the stream has, or when the session is over", () =>
  inWorld({ seed: 2 }, async (world) => {
    await world.connect({ latencyMs: 20, bytesPerSecond: 1_000_000 });
    world.bob.handlers.set("sink/1", async ({ readable }) => void (await readAll(readable)));
    const session = world.sessionOf("alice")!;
    const stream = await session.open("sink/1");
    const writer = stream.writable.getWriter();
    const startMs = world.clock.monotonicMs();
    await world.until(writer.write(new Uint8Array(500_000)));
    expect(world.clock.monotonicMs() - startMs).toBeLessThan(10);
    await world.until(stream.departed());
    expect(world.clock.monotonicMs() - startMs).toBeGreaterThan(300);
    expect(world.clock.monotonicMs() - startMs).toBeLessThan(600);
    await stream.departed();
    await writer.write(new Uint8Array(500_000));
    const departed = stream.departed();
    stream.reset();
    await world.until(departed, 1);
  }));

test("a reader that goes on lets its writer go on", () =>
  inWorld({ seed: 1 }, async (world) => {
    await world.connect({ latencyMs: 20, bytesPerSecond: 10_000_000 });
    const stopped = Promise.withResolvers<void>();
    let read = 0;
    world.bob.handlers.set("slow/1", async ({ readable }) => {
      const reader = readable.getReader();
      await stopped.promise;
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        read += value.length;
      }
    });
    const taken = pour((await world.sessionOf("alice")!.open("slow/1")).writable, 65_536);
    await world.clock.advance(5_000);
    const stoppedAt = taken();
    stopped.resolve();
    await world.clock.advance(5_000);
    expect(taken()).toBeGreaterThan(stoppedAt * 10);
    expect(read).toBeGreaterThan(stoppedAt * 9);
  }));

test("one unread stream does not hold back another", () =>
  inWorld({ seed: 2 }, async (world) => {
    await world.connect();
    pour(await openUnread(world), 65_536);
    await world.clock.advance(1_000);
    world.bob.handlers.set("echo/1", (stream) => stream.readable.pipeTo(stream.writable));
    const stream = await world.sessionOf("alice")!.open("echo/1");
    const writer = stream.writable.getWriter();
    const written = writer.write(new Uint8Array(200_000)).then(() => writer.close());
    expect(await world.until(readAll(stream.readable), 5_000)).toHaveLength(200_000);
    await world.until(written);
  }));

test("the link's buffer stays near its bound, however slow the link", () =>
  fc.assert(
    fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 12 }), (seed, streams) =>
      inWorld({ seed }, async (world) => {
        const { link } = await world.connect({ bytesPerSecond: 50_000, latencyMs: 5 });
        world.bob.handlers.set("sink/1", async ({ readable }) => void (await readAll(readable)));
        for (let i = 0; i < streams; i++) {
          pour((await world.sessionOf("alice")!.open("sink/1")).writable, 65_536);
        }
        for (let i = 0; i < 200; i++) {
          await world.clock.advance(100);
          expect(link.first.bufferedBytes).toBeLessThanOrEqual(LINK_BUFFER_HIGH_BYTES + FRAME_BYTES_MAX);
        }
      }),
    ),
    { numRuns: 5 },
  ));

test("a relay never has more unacknowledged than it allows", () =>
  fc.assert(
    fc.asyncProperty(fc.nat(), fc.constantFrom(256 * 1024, 1024 * 1024), (seed, unackedBytesMax) =>
      inWorld({ seed }, async (world) => {
        let underWay = 0;
        let most = 0;
        await world.connect({
          kind: "relay",
          latencyMs: 200,
          unackedBytesMax,
          meddler: (frame, direction) => {
            if (direction === "to-second") underWay += frame.length;
            most = Math.max(most, underWay);
            return [frame];
          },
        });
        world.bob.handlers.set("sink/1", async ({ readable }) => {
          for await (const chunk of readable) underWay -= chunk.length;
        });
        pour((await world.sessionOf("alice")!.open("sink/1")).writable, 65_536);
        await world.clock.advance(20_000);
        // Headers are not given back by the reader; they stay below this in so short a time.
        expect(most).toBeLessThanOrEqual(unackedBytesMax + FRAME_BYTES_MAX + 64 * 1024);
        expect(most).toBeGreaterThan(unackedBytesMax / 2);
      }),
    ),
    { numRuns: 4 },
  ));

test("more streams than a session allows are refused with a code, and places come free again", () =>
  inWorld({ seed: 3 }, async (world) => {
    const { alice } = await world.connect();
    world.bob.handlers.set("hold/1", (stream) => stream.closed);
    const streams = [];
    for (let i = 0; i < STREAMS_MAX; i++) streams.push(await alice.open("hold/1"));
    await expect(alice.open("hold/1")).rejects.toMatchObject({ code: "session/too-many-streams" });
    streams[17]?.reset();
    await expect(alice.open("hold/1")).resolves.toBeDefined();
    await world.clock.advance(1_000);
    expect(alice.closed).toBe(false);
  }));
