/**
 * Somebody sits on the path: flips bits, cuts, copies, replays, reorders, injects. What they do may cost a link; it never
 * reaches a stream, never ends a peer, and bytes still arrive once and in order over whatever link is left or comes.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Meddler } from "../../../peer/adapters/sim/link.ts";
import { seededRandom, type SimRandom } from "../../../peer/adapters/sim/random.ts";
import { FRAME, refuseFrame } from "../../../shared/frame.ts";
import { firstDifference, readAll, writeAll } from "./traffic.ts";
import { inWorld, type World } from "./world.ts";

const MEDDLES = {
  "flips a bit": (random: SimRandom, frame: Uint8Array) => [flipped(random, frame)],
  "cuts a frame short": (random: SimRandom, frame: Uint8Array) => [
    frame.subarray(0, random.integer(0, frame.length - 1)),
  ],
  "adds bytes": (random: SimRandom, frame: Uint8Array) => [
    new Uint8Array([...frame.subarray(0, 1_000), ...random.bytes(3)]),
  ],
  duplicates: (_random: SimRandom, frame: Uint8Array) => [frame, frame],
  drops: () => [],
  "replays old frames": (random: SimRandom, frame: Uint8Array, old: readonly Uint8Array[]) => [
    frame,
    old[random.integer(0, old.length - 1)] ?? frame,
  ],
  reorders: (_random: SimRandom, frame: Uint8Array, old: readonly Uint8Array[]) => [frame, ...old.slice(-2)],
  invents: (random: SimRandom, frame: Uint8Array) => [
    frame,
    Uint8Array.of(random.integer(0, 9), ...random.bytes(40)),
  ],
} as const;
type Meddle = keyof typeof MEDDLES;

function flipped(random: SimRandom, frame: Uint8Array): Uint8Array {
  const bytes = frame.slice();
  const bit = random.integer(0, bytes.length * 8 - 1);
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  return bytes;
}

/**
 * Lets most frames alone, and always an `attach`: who stands on the only path can make it name another session, and is
 * told in the clear that there is none, which ends this one as cutting the path for good would.
 */
function meddler(seed: number, what: readonly Meddle[], share: number): Meddler {
  const random = seededRandom(`meddler ${seed}`);
  const old = { "to-first": [] as Uint8Array[], "to-second": [] as Uint8Array[] };
  return (frame, direction) => {
    const meddle = what[random.integer(0, what.length - 1)];
    const carried =
      meddle === undefined || random.unit() > share || frame[0] === FRAME.attach
        ? [frame]
        : MEDDLES[meddle](random, frame, old[direction]);
    old[direction].push(frame.slice());
    return carried;
  };
}

const meddles = fc.subarray(Object.keys(MEDDLES) as Meddle[], { minLength: 1 });

/** Redials whenever a side has no path, over links that are meddled with too until `honestFromMs`. */
function keepLinked(world: World, make: () => Meddler, honestFromMs: number): void {
  const relink = (): void => {
    world.clock.schedule(200, () => {
      const [alice, bob] = [world.sessionOf("alice"), world.sessionOf("bob")];
      if (alice?.path.kind !== "none" && bob?.path.kind !== "none") return;
      const honest = world.clock.monotonicMs() >= honestFromMs;
      world.link(honest ? {} : { meddler: make() }).connected.catch(relink);
    });
  };
  world.alice.onPathless = relink;
  world.bob.onPathless = relink;
}

test("bytes arrive once and in order from under a meddler's hands", () =>
  fc.assert(
    fc.asyncProperty(
      fc.record({
        seed: fc.nat(),
        what: meddles,
        share: fc.constantFrom(0.02, 0.2),
        sealingMsMax: fc.constantFrom(0, 2),
      }),
      ({ seed, what, share, sealingMsMax }) =>
        inWorld({ seed, sealingMsMax }, async (world) => {
          await world.connect();
          const make = (): Meddler => meddler(seed + world.links.length, what, share);
          world.link({ kind: "webrtc", meddler: make() });
          world.clock.schedule(100, () => world.links[0]?.cut("both"));
          keepLinked(world, make, 20_000);
          const random = world.random.fork("text");
          const text = random.bytes(300_000);
          const arrived = Promise.withResolvers<Uint8Array>();
          world.bob.handlers.set("text/1", async ({ readable, writable }) => {
            arrived.resolve(await readAll(readable));
            await writable.close();
          });
          const { readable, writable } = await world.sessionOf("alice")!.open("text/1");
          await world.until(
            Promise.all([writeAll(writable, text, { random, pieceBytesMax: 20_000 }), readAll(readable)]),
            300_000,
          );
          expect(firstDifference(text, await arrived.promise)).toBeUndefined();
        }),
    ),
    { numRuns: 40, interruptAfterTimeLimit: 15_000 },
  ));

test("a meddled handshake fails or makes an honest session, never another", () =>
  fc.assert(
    fc.asyncProperty(fc.nat(), meddles, (seed, what) =>
      inWorld({ seed }, async (world) => {
        const { connected } = world.link({ meddler: meddler(seed, what, 0.7) });
        await world
          .until(connected)
          .catch((error: unknown) => expect(error).toMatchObject({ name: "PeerloomError" }));
        await world.clock.advance(30_000);
        // Whatever came of it, honest links still make a session that works.
        for (let tries = 0; tries < 3; tries++) {
          const ok = await world.until(
            world.link().connected.then(
              () => true,
              () => false,
            ),
          );
          if (ok) break;
        }
        world.bob.handlers.set("echo/1", (stream) => stream.readable.pipeTo(stream.writable));
        const stream = await world.sessionOf("alice")!.open("echo/1");
        const random = world.random.fork("echo");
        const [echoed] = await world.until(
          Promise.all([
            readAll(stream.readable),
            writeAll(stream.writable, Uint8Array.of(1, 2, 3), { random, pieceBytesMax: 3 }),
          ]),
          20_000,
        );
        expect(echoed).toEqual(Uint8Array.of(1, 2, 3));
      }),
    ),
    { numRuns: 40, interruptAfterTimeLimit: 10_000 },
  ));

test("noise from strangers is refused and changes nothing for the session beside it", () =>
  fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 20 }),
      (seed, frames) =>
        inWorld({ seed }, async (world) => {
          const { alice, bob } = await world.connect();
          const stranger = world.link();
          stranger.connected.catch(() => {});
          stranger.first.destroy();
          for (const frame of frames) {
            const link = world.link();
            link.inject(frame, "to-second");
            link.inject(frame, "to-first");
          }
          await world.clock.advance(15_000);
          expect([alice.closed, bob.closed]).toEqual([false, false]);
        }),
    ),
    { numRuns: 15, interruptAfterTimeLimit: 8_000 },
  ));

test("a forged refusal costs its link, not a session that has another: refusals are not sealed", () =>
  inWorld({ seed: 4 }, async (world) => {
    const { alice, bob } = await world.connect();
    const refused = world.link({
      kind: "relay",
      meddler: (frame, direction) => (direction === "to-first" ? [refuseFrame("session/unknown")] : [frame]),
    });
    await world.until(refused.connected.catch(() => {}));
    await world.clock.advance(100);
    expect([alice.closed, bob.closed]).toEqual([false, false]);
    expect(await world.until(world.link({ kind: "webrtc" }).connected)).toBe(alice);
  }));

test("ends that are bound to different certificates do not come together", () =>
  inWorld({ seed: 1 }, async (world) => {
    const bindings = [Uint8Array.of(1), Uint8Array.of(2)] as const;
    const { alice, bob } = await world.connect({ kind: "relay" });
    await expect(world.until(world.link({ kind: "webrtc", bindings }).connected)).rejects.toMatchObject({
      code: "session/handshake-failed",
    });
    await world.clock.advance(1_000);
    expect([alice.transports, bob.transports]).toEqual([["relay"], ["relay"]]);
  }));

test("a first link with differing bindings makes no session on the accepting side, and dies", () =>
  inWorld({ seed: 2 }, async (world) => {
    const link = world.link({ kind: "webrtc", bindings: [Uint8Array.of(1), Uint8Array.of(2)] });
    await world.until(link.connected.catch(() => {}));
    await world.clock.advance(2_000);
    expect(world.sessionOf("bob")).toBeUndefined();
    expect(link.isAlive).toBe(false);
  }));

test("nothing on the path shows what it carries, or who dials", () =>
  inWorld({ seed: 3 }, async (world) => {
    const seen: Uint8Array[] = [];
    await world.connect({
      meddler: (frame) => {
        seen.push(frame.slice());
        return [frame];
      },
    });
    const secret = new TextEncoder().encode("the quick brown fox");
    world.bob.handlers.set("secret/protocol", (stream) => stream.readable.pipeTo(stream.writable));
    const stream = await world.sessionOf("alice")!.open("secret/protocol");
    const random = world.random.fork("secret");
    await world.until(
      Promise.all([
        readAll(stream.readable),
        writeAll(stream.writable, secret, { random, pieceBytesMax: 100 }),
      ]),
    );
    const all = new TextDecoder("latin1").decode(new Uint8Array(seen.flatMap((frame) => [...frame])));
    expect(all).not.toContain("quick brown");
    expect(all).not.toContain("secret/protocol");
    const publicKey = new TextDecoder("latin1").decode(world.alice.identity.publicKey);
    expect(all).not.toContain(publicKey);
  }));
