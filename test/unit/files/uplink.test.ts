/** Whose turn it is, and how fast: no getter starves, what nobody has yet goes first, and the mean rate is kept on any clock. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { GivenCounts } from "../../../peer/services/files/given-counts.ts";
import { TokenBucket } from "../../../peer/services/files/token-bucket.ts";
import { type Taker, Uplink, UPLOADS_MAX } from "../../../peer/services/files/uplink.ts";
import { type PeerId, peerIdFromKey } from "../../../shared/ids.ts";

const CHUNK = 262_144;

function peer(number: number): PeerId {
  return peerIdFromKey(new Uint8Array(32).fill(number));
}

/** A getter with so much to ask for; sending takes `sendMs`. */
function getter(clock: SimClock, log: number[], number: number, count: number, sendMs = 10, given = 0) {
  const state = { left: count, given: 0 };
  const taker: Taker = {
    peerId: peer(number),
    due: () => (state.left > 0 ? given : undefined),
    give: () => {
      state.left -= 1;
      state.given += 1;
      log.push(number);
      return { bytes: CHUNK, sent: clock.sleep(sendMs) };
    },
  };
  return { taker, state };
}

describe("turns", () => {
  test("one that asks for a thousand chunks gets no more than one that asks for ten", async () => {
    const clock = new SimClock();
    const uplink = new Uplink(clock);
    const log: number[] = [];
    const [greedy, modest] = [getter(clock, log, 1, 1_000), getter(clock, log, 2, 10)];
    uplink.join(greedy.taker);
    uplink.ready();
    uplink.join(modest.taker);
    uplink.ready();
    while (modest.state.left > 0) await clock.advance(10);
    expect(greedy.state.given).toBeLessThanOrEqual(10 + UPLOADS_MAX);
  });

  test("several streams of one peer share its turn", async () => {
    const clock = new SimClock();
    const uplink = new Uplink(clock);
    const log: number[] = [];
    for (let i = 0; i < 8; i++) uplink.join(getter(clock, log, 1, 100).taker);
    uplink.join(getter(clock, log, 2, 100).taker);
    uplink.ready();
    await clock.advance(400);
    const counts = [1, 2].map((number) => log.filter((each) => each === number).length);
    expect(Math.abs((counts[0] as number) - (counts[1] as number))).toBeLessThanOrEqual(2);
  });

  test("a getter that does not read keeps others waiting a moment, not for ever", async () => {
    const clock = new SimClock();
    const uplink = new Uplink(clock);
    const log: number[] = [];
    for (let i = 1; i <= UPLOADS_MAX; i++) uplink.join(getter(clock, log, i, 1, 1e7).taker);
    uplink.ready();
    uplink.join(getter(clock, log, 9, 50).taker);
    uplink.ready();
    expect(log).not.toContain(9);
    await clock.advance(1_000);
    expect(log.filter((each) => each === 9)).toHaveLength(50);
  });

  test("where the line is narrow all take long, and no more is begun than where it is wide", async () => {
    const clock = new SimClock();
    const uplink = new Uplink(clock);
    const log: number[] = [];
    for (let i = 1; i <= UPLOADS_MAX + 1; i++) uplink.join(getter(clock, log, i, 1_000, 1_000).taker);
    uplink.ready();
    await clock.advance(20_000);
    const before = log.length;
    await clock.advance(20_000);
    expect(log.length - before).toBe(20 * UPLOADS_MAX);
  });

  test("what others have already leaves room for what nobody has", async () => {
    const clock = new SimClock();
    const uplink = new Uplink(clock);
    const log: number[] = [];
    for (let i = 1; i <= 3; i++) uplink.join(getter(clock, log, i, 10, 100, 1).taker);
    uplink.ready();
    expect(log).toHaveLength(2);
    uplink.join(getter(clock, log, 9, 10, 100, 0).taker);
    uplink.ready();
    expect(log.slice(2)).toEqual([9, 9]);
  });

  test("how often a chunk was given counts from the one that was given least", () => {
    const given = new GivenCounts(3);
    for (const index of [0, 0, 1]) given.add(index);
    expect([0, 1, 2].map((index) => given.beyondLeast(index))).toEqual([2, 1, 0]);
    given.add(2);
    expect([0, 1, 2].map((index) => given.beyondLeast(index))).toEqual([1, 0, 0]);
    for (const index of [1, 2]) given.add(index);
    expect([0, 1, 2].map((index) => given.beyondLeast(index))).toEqual([0, 0, 0]);
  });

  test("who asks for what nobody was given goes first, but who waits is passed twice at most in a row", async () => {
    const clock = new SimClock();
    const uplink = new Uplink(clock);
    uplink.limit(CHUNK * 10);
    const log: number[] = [];
    uplink.join(getter(clock, log, 1, 1_000, 1, 3).taker);
    uplink.join(getter(clock, log, 2, 1_000, 1, 0).taker);
    uplink.ready();
    await clock.advance(6_000);
    const late = log.filter((each) => each === 1).length;
    expect(late).toBeGreaterThanOrEqual(Math.floor(log.length / 4));
    expect(late).toBeLessThan(log.length / 3);
  });

  test("one that leaves has no more turns", async () => {
    const clock = new SimClock();
    const uplink = new Uplink(clock);
    const log: number[] = [];
    const { taker } = getter(clock, log, 1, 1_000);
    uplink.join(taker);
    uplink.ready();
    await clock.advance(100);
    const before = log.length;
    uplink.leave(taker);
    uplink.leave(taker);
    await clock.advance(100);
    expect(log).toHaveLength(before);
  });
});

describe("the limit", () => {
  test("what is sent in ten seconds is ten seconds' worth, whoever asks", async () => {
    const clock = new SimClock();
    const uplink = new Uplink(clock);
    uplink.limit(4_000_000);
    const log: number[] = [];
    for (let i = 1; i <= 3; i++) uplink.join(getter(clock, log, i, 1_000, 1).taker);
    uplink.ready();
    await clock.advance(10_000);
    const bytes = log.length * CHUNK;
    expect(bytes).toBeGreaterThan(0.99 * 40_000_000);
    expect(bytes).toBeLessThan(40_000_000 + 400_000 + 2 * CHUNK);
  });

  test("a bucket keeps the mean over any stretch, however it is used", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ waitMs: fc.nat(300), bytes: fc.integer({ min: 1, max: 500_000 }) }), {
          minLength: 1,
          maxLength: 60,
        }),
        async (uses) => {
          const clock = new SimClock();
          const bucket = new TokenBucket(clock);
          bucket.limit(1_000_000);
          const startMs = clock.monotonicMs();
          let bytes = 0;
          for (const use of uses) {
            await clock.advance(use.waitMs);
            if (bucket.waitMs() > 0) await clock.advance(bucket.waitMs());
            expect(bucket.waitMs()).toBe(0);
            bucket.take(use.bytes);
            bytes += use.bytes;
          }
          const elapsedMs = clock.monotonicMs() - startMs + bucket.waitMs();
          expect(bytes).toBeLessThanOrEqual(elapsedMs * 1_000 + 100_000 + 1);
        },
      ),
    );
  });
});
