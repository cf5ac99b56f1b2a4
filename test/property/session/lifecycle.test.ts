/** How sessions and streams begin and end: crossing dials, half-close, reset, close, resumption and its end. */
import { getEventListeners } from "node:events";
import fc from "fast-check";
import { expect, test } from "vitest";
import { RESUME_MS } from "../../../peer/session/resumption.ts";
import type { Stream } from "../../../peer/session/contract.ts";
import { ERROR_CODES, PeerloomError } from "../../../shared/errors.ts";
import { readAll, writeAll } from "./traffic.ts";
import { inWorld, type PeerName, type World } from "./world.ts";

const seed = fc.nat();
const latencyMs = fc.integer({ min: 0, max: 200 });
const FEW = { numRuns: 12 };

/** A stream from Alice to Bob, both ends held by the test. */
async function streamPair(world: World): Promise<{ near: Stream; far: Stream }> {
  const far = Promise.withResolvers<Stream>();
  world.bob.handlers.set("hold/1", (stream) => {
    far.resolve(stream);
    return stream.closed;
  });
  const near = await world.sessionOf("alice")!.open("hold/1");
  return { near, far: await world.until(far.promise) };
}

/** The code that a promise is rejected with. */
async function codeOf(world: World, promise: Promise<unknown>): Promise<unknown> {
  return world.until(
    promise.then(
      () => "fulfilled",
      (error: unknown) => (error as { code?: unknown }).code,
    ),
  );
}

test("a writable that closes leaves the other direction open", () =>
  fc.assert(
    fc.asyncProperty(seed, latencyMs, (number, delayMs) =>
      inWorld({ seed: number }, async (world) => {
        await world.connect({ latencyMs: delayMs });
        const { near, far } = await streamPair(world);
        const random = world.random.fork("half");
        const question = random.bytes(5_000);
        const answer = random.bytes(300_000);
        await world.until(writeAll(near.writable, question, { random, pieceBytesMax: 1_000 }));
        expect(await world.until(readAll(far.readable))).toEqual(question);
        const [arrived] = await world.until(
          Promise.all([
            readAll(near.readable),
            writeAll(far.writable, answer, { random, pieceBytesMax: 65_536 }),
          ]),
        );
        expect(arrived).toEqual(answer);
        await world.until(Promise.all([near.closed, far.closed]));
      }),
    ),
    FEW,
  ));

test("a reset carries its code to both directions of the other side", () =>
  fc.assert(
    fc.asyncProperty(
      seed,
      fc.constantFrom(...ERROR_CODES),
      fc.constantFrom("near", "far"),
      (number, code, who) =>
        inWorld({ seed: number }, async (world) => {
          await world.connect();
          const streams = await streamPair(world);
          const other = who === "near" ? streams.far : streams.near;
          const reading = codeOf(world, other.readable.getReader().read());
          streams[who as "near" | "far"].reset(code);
          streams[who as "near" | "far"].reset("stream/refused");
          expect(await reading).toBe(code);
          expect(await codeOf(world, other.writable.getWriter().closed)).toBe(code);
          await world.until(Promise.all([streams.near.closed, streams.far.closed]));
        }),
    ),
    FEW,
  ));

test("a signal that outlives its streams does not keep them", () =>
  inWorld({ seed: 4 }, async (world) => {
    await world.connect();
    world.bob.handlers.set("brief/1", (stream) => stream.closed);
    const { signal } = new AbortController();
    const streams: Stream[] = [];
    for (let i = 0; i < 3; i++)
      streams.push(await world.until(world.sessionOf("alice")!.open("brief/1", { signal })));
    expect(getEventListeners(signal, "abort")).toHaveLength(3);
    for (const stream of streams) stream.reset();
    await world.until(Promise.all(streams.map((stream) => stream.closed)));
    await world.clock.settle();
    expect(getEventListeners(signal, "abort")).toEqual([]);
  }));

test("cancelling a readable stops its writer and leaves the other direction open", () =>
  inWorld({ seed: 3 }, async (world) => {
    await world.connect();
    const { near, far } = await streamPair(world);
    await far.readable.cancel();
    const random = world.random.fork("stop");
    const endless = writeAll(near.writable, random.bytes(4_000_000), { random, pieceBytesMax: 65_536 });
    expect(await codeOf(world, endless)).toBe("stream/cancelled");
    const [arrived] = await world.until(
      Promise.all([
        readAll(near.readable),
        writeAll(far.writable, Uint8Array.of(1, 2, 3), { random, pieceBytesMax: 3 }),
      ]),
    );
    expect(arrived).toEqual(Uint8Array.of(1, 2, 3));
    await world.until(Promise.all([near.closed, far.closed]));
  }));

test("a handler that fails resets its stream; a protocol that nobody handles too", () =>
  inWorld({ seed: 4 }, async (world) => {
    await world.connect();
    world.bob.handlers.set("broken/1", () => Promise.reject(new Error("broken")));
    const open = async (protocol: string): Promise<unknown> =>
      codeOf(world, readAll((await world.sessionOf("alice")!.open(protocol)).readable));
    expect(await open("broken/1")).toBe("stream/reset");
    expect(await open("nobody/1")).toBe("stream/no-handler");
    expect(world.sessionOf("alice")?.closed).toBe(false);
  }));

test("dials that cross end in one session, the same on both sides", () =>
  fc.assert(
    fc.asyncProperty(
      seed,
      fc.array(
        fc.record({
          dialler: fc.constantFrom<PeerName>("alice", "bob"),
          afterMs: fc.integer({ min: 0, max: 100 }),
          latencyMs: fc.integer({ min: 0, max: 80 }),
        }),
        { minLength: 2, maxLength: 6 },
      ),
      fc.constantFrom(0, 10, 100),
      (number, dials, derivingMsMax) =>
        inWorld({ seed: number, derivingMsMax }, async (world) => {
          const connected = dials.map(async ({ afterMs, ...wire }) => {
            await world.clock.sleep(afterMs);
            return world.link(wire).connected;
          });
          const sessions = await world.until(Promise.all(connected));
          for (const session of sessions) expect(session.closed).toBe(false);
          await world.untilTrue(
            () => world.sessionOf("bob") !== undefined && world.sessionOf("alice") !== undefined,
          );
          expect(world.sessionOf("alice")!.sessionId).toEqual(world.sessionOf("bob")!.sessionId);
          expect(new Set(sessions.map((session) => String(session.sessionId))).size).toBe(1);
        }),
    ),
    { numRuns: 60 },
  ));

test.each<PeerName>(["alice", "bob"])(
  "a dial by %s that came to nothing does not keep the other side from dialling",
  (first) =>
    inWorld({ seed: 5 }, async (world) => {
      const lost = world.link({ dialler: first });
      lost.cut("both");
      await expect(world.until(lost.connected)).rejects.toThrow();
      await world.clock.advance(100);
      const second = world.link({ dialler: first === "alice" ? "bob" : "alice" });
      const startMs = world.clock.monotonicMs();
      await world.until(second.connected);
      expect(world.clock.monotonicMs() - startMs).toBeLessThan(1_000);
    }),
);

test("a session resumes with everything that was under way when a link comes in time", () =>
  fc.assert(
    fc.asyncProperty(
      seed,
      fc.integer({ min: 0, max: RESUME_MS - 5_000 }),
      fc.constantFrom<PeerName>("alice", "bob"),
      (number, apartMs, redialler) =>
        inWorld({ seed: number }, async (world) => {
          const { link, alice } = await world.connect({ bytesPerSecond: 1_000_000 });
          const { near, far } = await streamPair(world);
          const random = world.random.fork("resume");
          const text = random.bytes(900_000);
          const arriving = readAll(far.readable);
          const sent = writeAll(near.writable, text, { random, pieceBytesMax: 65_536 });
          await world.clock.advance(300);
          link.cut("both");
          await world.clock.advance(apartMs);
          expect(alice.path).toMatchObject({ kind: "none", transport: "none" });
          world.link({ dialler: redialler });
          await world.until(sent);
          expect(await world.until(arriving)).toEqual(text);
          expect(world.sessionOf("alice")).toBe(alice);
        }),
    ),
    FEW,
  ));

test("a session that stays without a link ends as lost, on both sides, and so do its streams", () =>
  inWorld({ seed: 6 }, async (world) => {
    const { link, alice, bob } = await world.connect();
    const { near, far } = await streamPair(world);
    const codes = [near, far].map((stream) =>
      stream.readable
        .getReader()
        .read()
        .catch((error: unknown) => (error as { code?: unknown }).code),
    );
    const ended: unknown[] = [];
    for (const session of [alice, bob]) {
      session.addEventListener("close", (event) => ended.push((event as CustomEvent).detail));
    }
    link.cut("both");
    await world.clock.advance(RESUME_MS - 1_000);
    expect([alice.closed, bob.closed]).toEqual([false, false]);
    await world.clock.advance(7_000);
    expect(ended).toEqual(["session/lost", "session/lost"]);
    expect(await Promise.all(codes)).toEqual(["session/lost", "session/lost"]);
    expect([world.sessionOf("alice"), world.sessionOf("bob")]).toEqual([undefined, undefined]);
    await world.clock.advance(30_000);
    expect(world.clock.timersPending).toBe(0);
  }));

test("a silent path is found dead within 3 s while there is something to say", () =>
  fc.assert(
    fc.asyncProperty(seed, fc.integer({ min: 0, max: 100 }), (number, delayMs) =>
      inWorld({ seed: number }, async (world) => {
        const { link, alice } = await world.connect({ latencyMs: delayMs });
        await streamPair(world);
        await world.clock.advance(5_000);
        link.cut("neither");
        await world.clock.advance(3_100);
        expect(alice.path.kind).toBe("none");
      }),
    ),
    FEW,
  ));

test("a session on a spare path moves off a silent one within a second of needing to", () =>
  inWorld({ seed: 7 }, async (world) => {
    const { link, alice } = await world.connect({ kind: "webrtc", latencyMs: 20 });
    await world.until(world.link({ kind: "relay", latencyMs: 40 }).connected);
    const { near } = await streamPair(world);
    const writer = near.writable.getWriter();
    await world.clock.advance(1_000);
    expect(alice.path.transport).toBe("webrtc");
    link.cut("neither");
    await world.until(writer.write(new Uint8Array(1_000)));
    await world.clock.advance(1_000);
    expect(alice.path.transport).toBe("relay");
  }));

test("a link that dies inside a send takes nothing with it, and no time", () =>
  inWorld({ seed: 12 }, async (world) => {
    const { link } = await world.connect({ kind: "webrtc" });
    await world.until(world.link({ kind: "relay" }).connected);
    const { near, far } = await streamPair(world);
    await world.clock.advance(1_000);
    const { first } = link;
    const send = first.send.bind(first);
    let sends = 0;
    first.send = (parts) => {
      if (++sends < 4) send(parts);
      else if (sends === 4) first.onClose(new PeerloomError("link/failed", "Sending failed."));
    };
    const random = world.random.fork("dying");
    const text = random.bytes(400_000);
    const sent = writeAll(near.writable, text, { random, pieceBytesMax: 65_536 });
    const startMs = world.clock.monotonicMs();
    const [arrived] = await world.until(Promise.all([readAll(far.readable), sent]));
    expect(arrived).toEqual(text);
    expect(sends).toBe(4);
    expect(world.clock.monotonicMs() - startMs).toBeLessThan(1_000);
  }));

test("two connections that die together cost no more time than one", () =>
  inWorld({ seed: 14 }, async (world) => {
    const { alice, link } = await world.connect({ kind: "webrtc" });
    const second = world.link({ kind: "webrtc", dialler: "bob" });
    await world.until(second.connected);
    await world.until(world.link({ kind: "relay" }).connected);
    const { near } = await streamPair(world);
    await world.clock.advance(1_500);
    link.cut("neither");
    second.cut("neither");
    await world.until(near.writable.getWriter().write(new Uint8Array(1_000)));
    await world.clock.advance(700);
    expect(alice.path.transport).toBe("relay");
  }));

test("idle, a session keeps one connection of a kind, and the relay beside it", () =>
  inWorld({ seed: 13 }, async (world) => {
    const { alice, bob } = await world.connect({ kind: "webrtc" });
    for (const dialler of ["bob", "alice"] as const)
      await world.until(world.link({ kind: "webrtc", dialler }).connected);
    await world.until(world.link({ kind: "relay" }).connected);
    expect(alice.transports).toEqual(["webrtc", "webrtc", "webrtc", "relay"]);
    await world.clock.advance(20_000);
    expect(alice.transports).toEqual(["webrtc", "relay"]);
    expect(bob.transports).toEqual(["webrtc", "relay"]);
  }));

test.each<PeerName>(["alice", "bob"])(
  "closed by %s, a session leaves nothing running on either side",
  (who) =>
    inWorld({ seed: 8 }, async (world) => {
      const { alice, bob } = await world.connect();
      await world.until(world.link({ kind: "relay" }).connected);
      const { near } = await streamPair(world);
      const reading = codeOf(world, near.readable.getReader().read());
      const session = who === "alice" ? alice : bob;
      await world.until(session.close());
      await world.until(session.close());
      await world.clock.advance(1_000);
      expect([alice.closed, bob.closed]).toEqual([true, true]);
      expect(await reading).toBe("session/closed");
      expect(world.links.some((link) => link.isAlive)).toBe(false);
      await expect(alice.open("late/1")).rejects.toMatchObject({ code: "session/closed" });
      expect(await world.close()).toBe(0);
    }),
);

test("what was written before close arrives", () =>
  inWorld({ seed: 9 }, async (world) => {
    const { alice } = await world.connect({ latencyMs: 100 });
    const { near, far } = await streamPair(world);
    const writer = near.writable.getWriter();
    const reader = far.readable.getReader();
    await world.until(writer.write(new Uint8Array(20_000).fill(7)));
    const closing = alice.close();
    let bytes = 0;
    while (bytes < 20_000) bytes += (await world.until(reader.read())).value?.length ?? Number.NaN;
    expect(bytes).toBe(20_000);
    await world.until(closing);
  }));

test("closing all sessions leaves no timer, also with a dial that nobody answers", () =>
  inWorld({ seed: 10 }, async (world) => {
    await world.connect();
    await world.until(world.link({ kind: "relay", dialler: "bob" }).connected);
    const silent = world.link({ kind: "webrtc" });
    silent.cut("neither");
    const refused = codeOf(world, silent.connected);
    expect(await world.close()).toBe(0);
    await refused.catch(() => {});
  }));

test("a peer that has forgotten the session is met with a new one", () =>
  inWorld({ seed: 11 }, async (world) => {
    const { alice, bob, link } = await world.connect();
    link.cut("both");
    bob.end(new Error("restarted") as never);
    expect(await codeOf(world, world.link().connected)).toBe("session/unknown");
    expect(alice.closed).toBe(true);
    await world.until(world.link().connected);
    expect(world.sessionOf("alice")).not.toBe(alice);
  }));
