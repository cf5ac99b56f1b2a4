/** The parts that decide: what was seen, what is thought of whom, who is in the mesh, how a message goes, who is asked for it. */
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import { chooseMesh, type MeshCandidate } from "../../../peer/services/topics/mesh-choice.ts";
import { LAST_ANSWER_MS, Pulls, PULLS_OF_ONE_MAX } from "../../../peer/services/topics/pulls.ts";
import { RECENT_BYTES_MAX, RECENT_MAX, RecentMessages } from "../../../peer/services/topics/recent.ts";
import { Score, SCORE_BAN } from "../../../peer/services/topics/score.ts";
import { FRESH_MS, Seen, SEEN_MAX, SEEN_MS } from "../../../peer/services/topics/seen.ts";
import { Tree, Trees, TREES_MAX } from "../../../peer/services/topics/trees.ts";
import type { Envelope } from "../../../peer/services/topics/envelope.ts";
import { type PeerId, peerIdFromKey } from "../../../shared/ids.ts";

const random = seededRandom(1);
const peer = (): PeerId => peerIdFromKey(random.bytes(32));
const [a, b, c, d] = [peer(), peer(), peer(), peer()];

describe("what was seen", () => {
  test("is known for longer than a message is fresh", () => {
    const seen = new Seen(0);
    seen.add("x", 0, 0, 0);
    // Stamped ahead by as much as is allowed, it is fresh for twice that time.
    expect(seen.isFresh(FRESH_MS, 0)).toBe(true);
    expect(seen.isFresh(FRESH_MS + 1, 0)).toBe(false);
    seen.add("y", 0, SEEN_MS - 1, SEEN_MS - 1);
    expect(seen.has("x")).toBe(true);
    seen.add("z", 0, SEEN_MS, SEEN_MS);
    expect(seen.has("x")).toBe(true);
    expect(seen.isFresh(0, SEEN_MS)).toBe(false);
    seen.add("w", 0, 2 * SEEN_MS, 2 * SEEN_MS);
    expect(seen.has("x")).toBe(false);
    expect(seen.overflows).toBe(0);
  });

  test("is bounded: what was forgotten early is too old to come again", () => {
    const seen = new Seen(0);
    for (let i = 0; i < 3 * SEEN_MAX; i++) seen.add(String(i), 1_000 + i, 200_000, 1);
    expect(seen.overflows).toBe(1);
    expect(seen.has("0")).toBe(false);
    expect(seen.isFresh(1_000, 200_000)).toBe(false);
    const last = 1_000 + 3 * SEEN_MAX;
    expect(seen.isFresh(last, 200_000)).toBe(true);
    for (let i = 0; i < 3 * SEEN_MAX; i++)
      expect(seen.has(String(i)) || !seen.isFresh(1_000 + i, 200_000)).toBe(true);
  });
});

describe("what is thought of a neighbour", () => {
  test("grows with what it brings first, to a bound, and fades", () => {
    const score = new Score(0);
    for (let i = 0; i < 200; i++) score.first(0);
    expect(score.value(0)).toBe(50);
    expect(score.value(60_000)).toBeLessThan(10);
  });

  test("grows with time in a mesh, to a bound", () => {
    const score = new Score(0);
    score.meshes = 1;
    expect(score.value(120_000)).toBeCloseTo(2);
    expect(score.value(3_600_000)).toBe(10);
  });

  test("a forgery costs the mesh, a second one everything; a rejection a tenth of it", () => {
    const forger = new Score(0);
    forger.invalid(0, 3);
    expect(forger.value(0)).toBe(-90);
    forger.invalid(0, 3);
    expect(forger.value(0)).toBeLessThan(SCORE_BAN);
    expect(forger.value(600_000)).toBeLessThan(0);
    const careless = new Score(0);
    careless.invalid(0, 1);
    expect(careless.value(0)).toBe(-10);
  });

  test("a few broken promises and excesses cost nothing, many cost all", () => {
    const score = new Score(0);
    for (let i = 0; i < 3; i++) score.broken(0);
    for (let i = 0; i < 20; i++) score.excess(0);
    expect(score.value(0)).toBeCloseTo(0);
    for (let i = 0; i < 12; i++) score.broken(0);
    expect(score.value(0)).toBeLessThan(SCORE_BAN);
    const flooder = new Score(0);
    for (let i = 0; i < 100; i++) flooder.excess(0);
    expect(flooder.value(0)).toBeLessThan(SCORE_BAN);
  });
});

describe("who is in the mesh", () => {
  const candidates = (count: number, inMesh: number, change: Partial<MeshCandidate> = {}): MeshCandidate[] =>
    Array.from({ length: count }, (_, i) => ({
      id: peer(),
      score: i,
      isInMesh: i < inMesh,
      isOwn: i % 4 === 0,
      isAway: false,
      ...change,
    }));

  test("of twelve all, of more six; nothing changes between five and eight", () => {
    expect(chooseMesh(candidates(12, 0), random).graft).toHaveLength(12);
    expect(chooseMesh(candidates(13, 0), random).graft).toHaveLength(6);
    expect(chooseMesh(candidates(40, 4), random).graft).toHaveLength(2);
    for (const inMesh of [5, 7, 8])
      expect(chooseMesh(candidates(40, inMesh), random)).toEqual({ graft: [], prune: [] });
  });

  test("of too many six stay: the best three, and two of our own choice at least", () => {
    const all = candidates(40, 20);
    const { graft, prune } = chooseMesh(all, random);
    expect(graft).toEqual([]);
    expect(prune).toHaveLength(14);
    const kept = all.filter(({ id, isInMesh }) => isInMesh && !prune.includes(id));
    expect(kept.map(({ score }) => score)).toEqual(expect.arrayContaining([17, 18, 19]));
    expect(kept.filter(({ isOwn }) => isOwn).length).toBeGreaterThanOrEqual(2);
  });

  test("who is bad goes, and who is bad or away does not come", () => {
    const { graft, prune } = chooseMesh(candidates(6, 6, { score: -1 }), random);
    expect([graft.length, prune.length]).toEqual([0, 6]);
    expect(chooseMesh(candidates(6, 0, { score: -1 }), random).graft).toEqual([]);
    expect(chooseMesh(candidates(6, 0, { isAway: true }), random).graft).toEqual([]);
  });
});

describe("how a message goes over a link", () => {
  test("a small rare one is pushed, a large one told of, until it is asked for", () => {
    const tree = new Tree();
    expect(tree.gear(a, 300, 0)).toBe("push");
    expect(tree.gear(a, 1_025, 0)).toBe("tell");
    tree.follow(a, true);
    expect(tree.gear(a, 1_025, 0)).toBe("push");
    expect(tree.gear(b, 1_025, 0)).toBe("tell");
    tree.follow(a, false);
    expect(tree.gear(a, 1_025, 0)).toBe("tell");
    expect(tree.gear(a, 300, 0)).toBe("push");
  });

  test("a busy publisher's are pushed until the other side has them from elsewhere, then told of with others", () => {
    const tree = new Tree();
    for (let i = 0; i < 3; i++) tree.note(i * 100);
    expect(tree.gear(a, 300, 250)).toBe("push");
    tree.follow(a, false);
    expect(tree.gear(a, 300, 250)).toBe("tell-later");
    expect(tree.gear(a, 300, 10_000)).toBe("push");
  });

  test("who tells waits for the parent, who brought the last ones; the parent itself does not", () => {
    const tree = new Tree();
    expect(tree.patienceMs(a, 300)).toBe(0);
    tree.parent = b;
    expect(tree.patienceMs(a, 300)).toBe(150);
    expect(tree.patienceMs(a, 100_000)).toBe(500);
    expect(tree.patienceMs(b, 300)).toBe(0);
    tree.forget(b);
    expect(tree.patienceMs(a, 300)).toBe(0);
  });

  test("trees are bounded, the one not used for longest goes", () => {
    const trees = new Trees();
    trees.of(a).parent = b;
    for (let i = 0; i < TREES_MAX - 1; i++) trees.of(peer());
    expect(trees.of(a).parent).toBe(b);
    for (let i = 0; i < TREES_MAX; i++) trees.of(peer());
    expect(trees.of(a).parent).toBeUndefined();
  });
});

describe("what was told of and has not come", () => {
  function pulls(): { clock: SyncClock; asked: [PeerId, readonly string[]][]; broken: PeerId[]; all: Pulls } {
    const clock = new SyncClock();
    const asked: [PeerId, readonly string[]][] = [];
    const broken: PeerId[] = [];
    const all = new Pulls({
      clock,
      ask: (neighbour, ids) => asked.push([neighbour, ids]) > 0,
      broken: (neighbour) => broken.push(neighbour),
    });
    return { clock, asked, broken, all };
  }

  test("is asked for at once, then of the next, and a promise that is not kept is noted", () => {
    const { clock, asked, broken, all } = pulls();
    all.told(a, d, ["x", "y"], 640, 0);
    all.told(b, d, ["x"], 640, 0);
    all.told(c, d, ["x"], 640, 0);
    expect(asked).toEqual([[a, ["x", "y"]]]);
    expect(all.came("y", a)).toBe(true);
    clock.advance(511);
    expect(asked.slice(1)).toEqual([[b, ["x"]]]);
    expect(broken).toEqual([a]);
    all.gone(b);
    clock.advance(1);
    expect(asked.slice(2)).toEqual([[c, ["x"]]]);
    clock.advance(511);
    expect(broken).toEqual([a, c]);
    clock.advance(LAST_ANSWER_MS);
    expect(broken).toEqual([a, c]);
    expect(all.size).toBe(0);
  });

  test("one neighbour's lies leave room for the others' word", () => {
    const { clock, asked, all } = pulls();
    for (let i = 0; i < 100; i++) {
      const ids = Array.from({ length: 64 }, (_, j) => `lie ${i} ${j}`);
      all.told(a, d, ids, 640, 0);
    }
    expect(all.size).toBe(PULLS_OF_ONE_MAX);
    all.told(b, d, ["x"], 640, 0);
    expect(asked.at(-1)).toEqual([b, ["x"]]);
    clock.advance(LAST_ANSWER_MS);
    expect(all.size).toBe(0);
    all.told(a, d, ["y"], 640, 0);
    expect(all.size).toBe(1);
  });

  test("is not asked for when it comes in time", () => {
    const { clock, asked, broken, all } = pulls();
    all.told(a, d, ["x"], 640, 150);
    clock.advance(149);
    expect(all.came("x", b)).toBe(false);
    clock.advance(10_000);
    expect([asked, broken]).toEqual([[], []]);
  });

  test("is asked of the next as soon as an answer takes longer than its neighbour's answers do", () => {
    const { clock, asked, broken, all } = pulls();
    for (let i = 0; i < 20; i++) {
      all.told(a, d, [`quick ${i}`], 64, 0);
      clock.advance(20);
      all.came(`quick ${i}`, a);
    }
    all.told(a, d, ["x"], 64, 0);
    all.told(b, d, ["x"], 64, 0);
    clock.advance(151);
    expect(asked.at(-1)).toEqual([b, ["x"]]);
    // Asked of another, but no promise is broken yet.
    expect(broken).toEqual([]);
    clock.advance(350);
    expect(broken).toEqual([a]);
  });

  test("of a neighbour far away is waited for, and costs it nothing", () => {
    const { clock, broken, all } = pulls();
    for (let i = 0; i < 20; i++) {
      all.told(a, d, [`far ${i}`], 64, 0);
      clock.advance(900);
      all.came(`far ${i}`, a);
    }
    // Until its answers were measured they seemed late.
    expect(broken.length).toBeLessThanOrEqual(1);
  });

  test("is awaited when all were asked, and who tells of it then is asked at once", () => {
    const { clock, asked, all } = pulls();
    all.told(a, d, ["x"], 64, 0);
    clock.advance(5_000);
    expect(all.isAwaited(d, 0)).toBe(true);
    expect(all.isAwaited(d, -1)).toBe(false);
    expect(all.isAwaited(c, 5_000)).toBe(false);
    all.told(b, d, ["x"], 64, 150);
    clock.advance(1);
    expect(asked.at(-1)).toEqual([b, ["x"]]);
    all.gone(b);
    expect(all.isAwaited(d, 0)).toBe(true);
    all.gone(a);
    clock.advance(1);
    expect(all.isAwaited(d, 0)).toBe(false);
  });
});

describe("the latest messages", () => {
  const envelopeOf = (bytes: number, timeMs = 0, seq = 0): Envelope =>
    ({ bytes: new Uint8Array(bytes), timeMs, seq }) as Envelope;

  test("are bounded in number and bytes, the oldest go", () => {
    const recent = new RecentMessages();
    for (let i = 0; i < RECENT_MAX + 10; i++) recent.add(String(i), envelopeOf(1), i, []);
    expect(recent.size).toBe(RECENT_MAX);
    expect(recent.get("9")).toBeUndefined();
    for (let i = 0; i < 40; i++) recent.add(`large ${i}`, envelopeOf(256 * 1024), 1e6, []);
    expect(recent.size).toBe(RECENT_BYTES_MAX / (256 * 1024));
    expect(recent.last(100, 600 * 1024).map(({ id }) => id)).toEqual(["large 38", "large 39"]);
  });

  test("are those that were published last, in whatever order they came", () => {
    const recent = new RecentMessages();
    const published = [
      ["second", 7, 1],
      ["first", 7, 0],
      ["fourth", 8, 3],
      ["third", 8, 2],
    ] as const;
    for (const [id, timeMs, seq] of published) recent.add(id, envelopeOf(1, timeMs, seq), 0, []);
    expect(recent.last(3, 100).map(({ id }) => id)).toEqual(["second", "third", "fourth"]);
  });

  test("one neighbour is given one twice, and no more", () => {
    const recent = new RecentMessages();
    recent.add("x", envelopeOf(1), 0, []);
    expect(recent.serve("x", a)?.id).toBe("x");
    expect(recent.serve("x", a)?.id).toBe("x");
    expect(recent.serve("x", a)).toBeUndefined();
    expect(recent.serve("x", b)?.id).toBe("x");
    expect(recent.serve("y", b)).toBeUndefined();
  });
});
