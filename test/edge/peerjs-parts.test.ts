/** The parts of a room that need no room: where an id belongs, what an operator may set, how calls to other rooms are bounded. */
import { describe, expect, test } from "vitest";
import type { Env } from "../../edge/env.ts";
import { type LaneEnds, Lanes } from "../../edge/lanes.ts";
import { isKey, isListed, peerjsOptions, shardOf } from "../../edge/peerjs-options.ts";
import type { Envelope } from "../../edge/peerjs-protocol.ts";

const vars = (some: Partial<Env>): Env => some as Env;

describe("shards", () => {
  for (const [what, idOf] of Object.entries<(n: number) => string>({
    "numbered ids": (n) => `player-${n}`,
    "short ids": (n) => n.toString(36),
    UUIDs: () => crypto.randomUUID(),
  })) {
    test(`${what} are spread evenly`, () => {
      const counts = Array.from({ length: 8 }, () => 0);
      for (let n = 0; n < 8_000; n++) {
        const shard = shardOf(idOf(n), counts.length);
        counts[shard] = (counts[shard] ?? 0) + 1;
      }
      for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(200);
    });
  }

  test("one id always belongs to the same one", () => {
    expect([shardOf("a", 1), shardOf("", 32) < 32]).toEqual([0, true]);
    expect(new Set(Array.from({ length: 10 }, () => shardOf("somebody", 32))).size).toBe(1);
  });
});

describe("options", () => {
  test("are PeerServer's where nothing is set, and nonsense is nothing", () => {
    const defaults = { aliveMs: 90_000, expireMs: 5_000, socketsMax: 20_000, shards: 1 };
    expect(peerjsOptions(vars({}))).toEqual(defaults);
    expect(peerjsOptions(vars({ PEERJS_SHARDS: "none", PEERJS_ALIVE_SECONDS: "-1" }))).toEqual(defaults);
    expect(peerjsOptions(vars({ PEERJS_SHARDS: "1000000", PEERJS_EXPIRE_SECONDS: "7" }))).toMatchObject({
      shards: 32,
      expireMs: 7_000,
    });
  });

  test("a key is known or not, and listed only by name", () => {
    expect([isKey(vars({}), "peerjs"), isKey(vars({}), "other"), isListed(vars({}), "peerjs")]).toEqual([
      true,
      false,
      false,
    ]);
    const two = vars({ PEERJS_KEYS: "one two", PEERJS_DISCOVERY: "two three" });
    expect(["one", "two", "three", "peerjs"].map((key) => [isKey(two, key), isListed(two, key)])).toEqual([
      [true, false],
      [true, true],
      [false, false],
      [false, false],
    ]);
  });
});

describe("lanes to other rooms", () => {
  const envelope = (dst: string, frame = "x"): Envelope => ({ type: "OFFER", src: "a", dst, frame });

  /** Lanes whose calls end when the test says so. */
  function openLanes() {
    const calls: { shard: number; names: string[]; end: (error?: Error) => void }[] = [];
    const lost: string[] = [];
    const work: Promise<void>[] = [];
    const ends: LaneEnds<Envelope> = {
      deliver: (shard, envelopes) =>
        new Promise((resolve, reject) => {
          const end = (error?: Error): void => (error === undefined ? resolve() : reject(error));
          calls.push({ shard, names: envelopes.map(({ dst }) => dst), end });
        }),
      lost: (envelopes) => void lost.push(...envelopes.map(({ dst }) => dst)),
      lengthOf: ({ frame }) => frame.length,
      keep: (promise) => void work.push(promise),
    };
    return { lanes: new Lanes(ends), calls, lost, work };
  }

  test("one call at a time to each, and what came meanwhile goes with the next, in order", async () => {
    const { lanes, calls, lost, work } = openLanes();
    for (const name of ["a", "b", "c"]) lanes.send(1, envelope(name));
    lanes.send(2, envelope("d"));
    expect(calls.map(({ shard, names }) => [shard, names])).toEqual([
      [1, ["a"]],
      [2, ["d"]],
    ]);
    calls[0]?.end();
    await expect.poll(() => calls[2]?.names).toEqual(["b", "c"]);
    calls[1]?.end();
    calls[2]?.end();
    await Promise.all(work);
    lanes.send(1, envelope("e"));
    expect([calls[3]?.names, lost]).toEqual([["e"], []]);
    calls[3]?.end();
  });

  test("a call that fails loses what it carried, and no more", async () => {
    const { lanes, calls, lost, work } = openLanes();
    for (const name of ["a", "b"]) lanes.send(1, envelope(name));
    calls[0]?.end(new Error("overloaded"));
    await expect.poll(() => calls[1]?.names).toEqual(["b"]);
    calls[1]?.end();
    await Promise.all(work);
    expect(lost).toEqual(["a"]);
  });

  test("what piles up behind a call that hangs is bounded, by number and by length", () => {
    const { lanes, lost } = openLanes();
    for (let n = 0; n < 3_000; n++) lanes.send(1, envelope(String(n)));
    expect([lost.length, lost[0]]).toEqual([3_000 - 2_049, "2049"]);
    const long = "x".repeat(1024 * 1024);
    for (let n = 0; n < 6; n++) lanes.send(2, envelope(`long ${n}`, long));
    expect(lost.slice(-1)).toEqual(["long 5"]);
  });
});
