/** The overlay as real peers run it, a few hundred of them on a virtual clock. Figures at size: `peerloom sim`. */
import { describe, expect, test } from "vitest";
import { encode } from "../../shared/codec.ts";
import { SyncClock } from "../../peer/adapters/sim/sync-clock.ts";
import { seededRandom } from "../../peer/adapters/sim/random.ts";
import { LINK_BUDGETS } from "../../peer/overlay/mesh/link-table.ts";
import type { Answer } from "../../peer/overlay/mesh/requester.ts";
import { decodeMesh, encodeMesh, type Forward } from "../../peer/overlay/mesh/mesh-messages.ts";
import { buildNetwork } from "../../peer/simulation/oracle.ts";
import { type SimPeer, World } from "../../peer/simulation/world.ts";

function world(nodes: number, seed = 3): World {
  const made = new World({ seed, clock: new SyncClock() });
  if (nodes > 0) buildNetwork(made, nodes, LINK_BUDGETS.browser);
  made.clock.advance(15_000);
  return made;
}

function ask(from: SimPeer, to: SimPeer): { answer: Answer | undefined } {
  const result: { answer: Answer | undefined } = { answer: undefined };
  from.mesh.deliver(to.key, new Uint8Array(1), (answer) => {
    result.answer = answer;
  });
  return result;
}

test("a network grows from nothing by joining alone", () => {
  const growing = world(0);
  for (let i = 0; i < 60; i++) {
    growing.join();
    growing.clock.advance(300);
  }
  growing.clock.advance(20_000);
  const results: { answer: Answer | undefined }[] = [];
  for (const from of growing.alive) results.push(ask(from, growing.pick()));
  growing.clock.advance(6_000);
  expect(results.filter(({ answer }) => answer === undefined)).toEqual([]);
});

test("a network cut in two lives on as two, and three introductions make it one again", () => {
  const network = world(120);
  const left = new Set(network.alive.slice(0, 60));
  const right = network.alive.slice(60);
  const askAcross = (): { answer: Answer | undefined }[] => {
    const results = [...left].map((from, index) => ask(from, right[index] as SimPeer));
    network.clock.advance(6_000);
    return results.filter(({ answer }) => answer === undefined);
  };
  network.isCut = (a, b) => left.has(a) !== left.has(b);
  network.clock.advance(60_000);
  expect(askAcross()).toHaveLength(60);
  const within = ask(right[0] as SimPeer, right[1] as SimPeer);
  network.clock.advance(6_000);
  expect(within.answer).toBeDefined();

  network.isCut = () => false;
  for (const [index, peer] of [...left].slice(0, 3).entries()) network.connect(peer, right[index] as SimPeer);
  network.clock.advance(60_000);
  expect(askAcross()).toEqual([]);
});

// A minute of processor time where others share the machine.
test(
  "two halves too large for anybody to know half of are one again after three introductions",
  { timeout: 180_000 },
  () => {
    const network = world(300);
    const left = new Set(network.alive.filter((_, index) => index % 2 === 0));
    network.isCut = (a, b) => left.has(a) !== left.has(b);
    network.clock.advance(20_000);
    network.isCut = () => false;
    const right = network.alive.filter((peer) => !left.has(peer));
    for (const [index, peer] of [...left].slice(0, 3).entries())
      network.connect(peer, right[index] as SimPeer);
    network.clock.advance(15_000);
    const results = [...left].map((from, index) => ask(from, right[index] as SimPeer));
    network.clock.advance(6_000);
    expect(results.filter(({ answer }) => answer === undefined)).toEqual([]);
  },
);

describe("invitations", () => {
  let lastMid = 76;

  /** What a neighbour hears back on a request, routed to the peer itself. */
  function answerTo(
    victim: SimPeer,
    exact: boolean,
    body: Uint8Array,
    network: World,
  ): Uint8Array | undefined {
    const [[, pipe] = []] = victim.links;
    if (pipe === undefined) throw new Error("everybody has links here");
    const from = pipe.peer;
    const mid = (lastMid += 1);
    let heard: Uint8Array | undefined;
    const forward: Forward = {
      kind: "forward",
      mid,
      target: victim.key,
      exact,
      greedy: false,
      open: false,
      strays: 0,
      ttl: 24,
      budgetMs: 4_000,
      origin: from.key,
      promise: 2 ** 52,
      path: [from.key],
      dead: [],
      body,
    };
    const { receive } = from.mesh;
    from.mesh.receive = (link, bytes) => {
      const message = decodeMesh(bytes);
      if (message.kind === "reply" && message.mid === mid) heard = message.body;
      else receive.call(from.mesh, link, bytes);
    };
    const other = pipe.other;
    other?.send(encodeMesh(forward));
    network.clock.advance(2_000);
    return heard;
  }

  test("to one who is known already, or who does not belong here, are not followed", () => {
    const network = world(200);
    const victim = network.pick();
    const [known] = victim.links.keys();
    const far = (victim.key + 2 ** 51) % 2 ** 52;
    for (const key of [known as number, victim.key, far]) {
      const answer = answerTo(victim, false, encode([4, key, Uint8Array.of(1)]), network);
      expect(answer).toEqual(encode([]));
    }
    const near = victim.key + 1;
    expect(answerTo(victim, false, encode([4, near, Uint8Array.of(1)]), network)).toEqual(
      encode([victim.key]),
    );
  });

  test("nobody hands on for two whom it did not bring together", () => {
    const network = world(200);
    const victim = network.pick();
    const other = network.pick();
    expect(answerTo(victim, true, encode([5, other.key, Uint8Array.of(1)]), network)).toBeUndefined();
  });
});

describe("strangers' messages", () => {
  test("noise costs the sender its link, and nobody else anything", () => {
    const network = world(40);
    const random = seededRandom("noise");
    const victim = network.pick();
    const [[, pipe] = []] = victim.links;
    if (pipe?.other === undefined) throw new Error("everybody has links here");
    const before = victim.mesh.size;
    pipe.other.send(random.bytes(200));
    network.clock.advance(500);
    expect(victim.mesh.has(pipe.key)).toBe(false);
    expect(victim.mesh.size).toBeGreaterThanOrEqual(before - 1);
    const found = ask(network.pick(), victim);
    network.clock.advance(6_000);
    expect(found.answer).toBeDefined();
  });

  test("a request whose path does not end at its sender, or that has been round, goes nowhere", () => {
    const network = world(40);
    const victim = network.pick();
    const [[, pipe] = []] = victim.links;
    if (pipe?.other === undefined) throw new Error("everybody has links here");
    const stranger = pipe.owner === victim ? pipe.peer : pipe.owner;
    const forward: Forward = {
      kind: "forward",
      mid: 1,
      target: 0,
      exact: false,
      greedy: false,
      open: false,
      strays: 0,
      ttl: 24,
      budgetMs: 4_000,
      origin: 12_345,
      promise: 2 ** 52,
      path: [12_345],
      dead: [],
      body: Uint8Array.of(0x91, 0),
    };
    const dropped = victim.mesh.dropped;
    const cases: Forward[] = [
      forward,
      { ...forward, mid: 2, path: [stranger.key], ttl: 0 },
      { ...forward, mid: 3, path: [stranger.key], budgetMs: 0 },
    ];
    for (const each of cases) pipe.other.send(encodeMesh(each));
    network.clock.advance(500);
    expect(victim.mesh.dropped).toBe(dropped + cases.length);
  });

  test("a neighbour that floods is passed on at most so often", () => {
    const network = world(40);
    const victim = network.pick();
    const [[, pipe] = []] = victim.links;
    if (pipe?.other === undefined) throw new Error("everybody has links here");
    const stranger = pipe.peer;
    const dropped = victim.mesh.dropped;
    for (let mid = 1; mid <= 5_000; mid++) {
      pipe.other.send(
        encodeMesh({
          kind: "forward",
          mid,
          target: mid * 1_000_003,
          exact: false,
          greedy: false,
          open: false,
          strays: 0,
          ttl: 24,
          budgetMs: 4_000,
          origin: stranger.key,
          promise: 2 ** 52,
          path: [stranger.key],
          dead: [],
          body: Uint8Array.of(0x91, 2),
        }),
      );
    }
    network.clock.advance(1_000);
    expect(victim.mesh.dropped - dropped).toBeGreaterThan(4_000);
  });
});

test("after goodbye a peer is asked for no more, and says no more", () => {
  const network = world(40);
  const leaver = network.pick();
  const neighbours = [...leaver.links.keys()].map((key) => network.peers.get(key) as SimPeer);
  leaver.mesh.close();
  network.clock.advance(1_000);
  for (const each of neighbours) expect(each.mesh.has(leaver.key)).toBe(false);
  const messages = network.messages;
  network.clock.advance(2_000);
  // Forty peers that are well say little: pings, and the changes that the goodbye caused.
  expect(network.messages - messages).toBeLessThan(40 * 60);
});
