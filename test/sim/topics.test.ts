/** A topic among simulated peers: the very code that real ones run, on virtual time. `test/bench/topics.ts` runs 1,000 of them. */
import { describe, expect, test } from "vitest";
import {
  type TopicFigures,
  type TopicNode,
  type TopicRunOptions,
  TopicWorld,
} from "../../peer/simulation/topics.ts";

const NODES = 120;
const SMALL_BYTES = 250;
const LARGE_BYTES = 8_000;

interface Claim {
  readonly seed: number;
  readonly run: TopicRunOptions;
  readonly kill?: number;
  readonly mute?: number;
}

function figures({ seed, run, kill = 0, mute = 0 }: Claim): TopicFigures {
  const world = new TopicWorld({ nodes: NODES, seed });
  if (kill > 0) world.kill(kill);
  if (mute > 0) world.mute(mute);
  const result = world.run(run);
  console.log(`seed=${seed} nodes=${NODES} ${JSON.stringify({ kill, mute, ...run, ...result })}`);
  return result;
}

describe("120 peers, half of all round trips longer than 80 ms", () => {
  test.each([0, 0.2])("small messages of many reach all soon, %s of them dead", (kill) => {
    const { delivered, msP99 } = figures({ seed: 1, run: { bytes: SMALL_BYTES, messages: 20 }, kill });
    expect(delivered).toBe(1);
    expect(msP99).toBeLessThanOrEqual(200);
  });

  test.each([0, 0.2])("small messages of one who says much come hardly twice, %s of them dead", (kill) => {
    const run = { bytes: SMALL_BYTES, messages: 60, publishers: 1, everyMs: 100 };
    const { delivered, msP99, copies } = figures({ seed: 2, run, kill });
    expect(delivered).toBe(1);
    expect(msP99).toBeLessThanOrEqual(200);
    expect(copies).toBeLessThanOrEqual(2);
  });

  test("words of many who each speak now and then come hardly more often", () => {
    const run = { bytes: SMALL_BYTES, messages: 400, publishers: 40, everyMs: 50 };
    const { delivered, msP99, copies } = figures({ seed: 5, run });
    expect(delivered).toBe(1);
    expect(msP99).toBeLessThanOrEqual(200);
    // A third of them is pushed, before trees have grown.
    expect(copies).toBeLessThanOrEqual(3);
  });

  test.each([
    [1, 0],
    [1, 0.2],
    [10, 0],
    [10, 0.2],
  ])("large messages of %i publishers come hardly twice, %s of them dead", (publishers, kill) => {
    const run = { bytes: LARGE_BYTES, messages: 20, publishers };
    const { delivered, copies } = figures({ seed: 3, run, kill });
    expect(delivered).toBe(1);
    expect(copies).toBeLessThanOrEqual(1.5);
  });

  test.each([SMALL_BYTES, LARGE_BYTES])(
    "three of ten who pass nothing on stop nothing of %i bytes",
    (bytes) => {
      const { delivered } = figures({ seed: 4, run: { bytes, messages: 20, publishers: 4 }, mute: 0.3 });
      expect(delivered).toBe(1);
    },
  );
});

test("far apart, with losses and a third just dead, readers in order miss next to nothing", () => {
  const run = { bytes: LARGE_BYTES, publishers: 1, everyMs: 200 };
  for (const seed of [1, 2, 3]) {
    const world = new TopicWorld({ nodes: 60, seed, rttMsMedian: 600, lossShare: 0.05 });
    // Trees have grown when their inner nodes die.
    world.run({ ...run, messages: 5 });
    world.kill(1 / 3);
    const { delivered, missedInOrder } = world.run({ ...run, messages: 60 });
    expect(delivered).toBe(1);
    // Passed over after 2 s, they were 0.5 to 1 %.
    expect(missedInOrder, `seed ${seed}`).toBeLessThanOrEqual(0.001);
  }
});

test("in a small network all messages reach all", () => {
  for (const nodes of [2, 3, 5, 12, 13, 14, 25]) {
    for (const bytes of [SMALL_BYTES, LARGE_BYTES]) {
      const world = new TopicWorld({ nodes, seed: nodes });
      const { delivered, copies } = world.run({ bytes, messages: 10, publishers: 2 });
      expect(delivered, `${nodes} peers, ${bytes} bytes`).toBe(1);
      if (bytes === LARGE_BYTES) expect(copies, `${nodes} peers`).toBeLessThanOrEqual(1.5);
    }
  }
});

test("who says too much is cut to twice the rate, and out of the mesh; the others are unhurt", () => {
  const world = new TopicWorld({ nodes: 60, seed: 5, rate: 10 });
  const [spammer, other] = world.nodes as [TopicNode, TopicNode];
  const honest = [...spammer.neighbours];
  const spam: string[] = [];
  const said: string[] = [];
  for (let i = 0; i < 100; i++) {
    for (let j = 0; j < 10; j++) spam.push(world.publish(spammer, SMALL_BYTES));
    if (i % 10 === 0) said.push(world.publish(other, SMALL_BYTES));
    world.clock.advance(100);
  }
  const heard = (): number => spam.reduce((sum, id) => sum + 1 - world.missedBy(id).length / 59, 0);
  // 1,000 were said in ten seconds. A peer takes 20 a second and 20 at once, and whoever hears it from others as much.
  expect(heard()).toBeLessThanOrEqual(20 + 10 * 20);
  // What they were told of comes later, and no faster.
  for (let second = 0; second < 5; second++) {
    const before = heard();
    world.clock.advance(1_000);
    expect(heard() - before).toBeLessThanOrEqual(20);
  }
  for (const id of said) expect(world.missedBy(id).filter((node) => node !== spammer)).toEqual([]);
  const bad = honest.filter(({ gossip }) => gossip.scoreOf(spammer.id) < 0 || !gossip.isWelcome(spammer.id));
  expect(bad.length).toBeGreaterThan(0);
  expect(honest.filter(({ mesh }) => mesh.isInMesh(spammer.id))).toEqual([]);
  for (const node of world.nodes.slice(1)) {
    for (const { id, gossip } of node.neighbours) {
      if (node !== spammer && id !== spammer.id) expect(gossip.scoreOf(node.id)).toBeGreaterThanOrEqual(0);
    }
  }
});

test("who forges messages of another does not use up what that one may say", () => {
  const world = new TopicWorld({ nodes: 10, seed: 7, rate: 5 });
  const [forger, victim, target] = world.nodes as [TopicNode, TopicNode, TopicNode];
  for (let i = 0; i < 50; i++) world.forge(forger, victim, target);
  world.clock.advance(100);
  expect(target.gossip.isWelcome(forger.id)).toBe(false);
  const id = world.publish(victim, SMALL_BYTES);
  world.clock.advance(1_000);
  expect(world.missedBy(id).filter((node) => node !== forger)).toEqual([]);
});

test("who tells of messages that it does not give is found out", () => {
  const world = new TopicWorld({ nodes: 30, seed: 6 });
  const [liar, victim] = world.nodes as [TopicNode, TopicNode];
  for (let i = 0; i < 30; i++) {
    const ids = [
      world.random.bytes(16).reduce((text, byte) => text + byte.toString(16).padStart(2, "0"), ""),
    ];
    const lie = { kind: "have", topic: world.topic, publisher: liar.id, bytesMax: 5_000, ids } as const;
    victim.gossip.received(liar.id, lie, undefined);
    world.clock.advance(200);
  }
  world.clock.advance(2_000);
  expect(victim.gossip.scoreOf(liar.id) < 0 || !victim.gossip.isWelcome(liar.id)).toBe(true);
  expect(victim.mesh.isInMesh(liar.id)).toBe(false);
  expect(world.run({ bytes: LARGE_BYTES, messages: 10, publishers: 3 }).delivered).toBe(1);
});
