/** Search by bounded flood among simulated peers: the very code that real ones run, on virtual time. */
import { describe, expect, test } from "vitest";
import { seededRandom, type SimRandom } from "../../peer/adapters/sim/random.ts";
import { SyncClock } from "../../peer/adapters/sim/sync-clock.ts";
import { Digest } from "../../peer/services/search/digest.ts";
import { Flood, type Reply } from "../../peer/services/search/flood.ts";
import { BUDGET_MAX, type Query } from "../../peer/services/search/protocol.ts";

const LINKS = 32;
/** Files of other names that everybody has. */
const NOISE_FILES = 20;
const QUESTION_MS = 8_000;

interface Node {
  readonly index: number;
  readonly neighbours: Set<Node>;
  readonly files: Map<string, readonly string[]>;
  digest: Digest;
  readonly flood: Flood;
}

interface WorldOptions {
  readonly nodes: number;
  readonly seed: number;
  readonly links?: number;
  /** Of all nodes. */
  readonly sharers: number;
  readonly digests?: boolean;
  /** Pass nothing on, and say that nobody was touched. */
  readonly liars?: number;
}

class World {
  readonly clock = new SyncClock();
  readonly random: SimRandom;
  readonly nodes: Node[];
  readonly liars = new Set<Node>();
  /** Questions that came to a node, repeated ones too. */
  asked = 0;
  touched = new Set<Node>();

  constructor({ nodes, seed, sharers, links = LINKS, digests = true, liars = 0 }: WorldOptions) {
    this.random = seededRandom(seed);
    this.nodes = Array.from({ length: nodes }, (_, index) => this.#node(index));
    for (const node of this.nodes) {
      this.#link(node, this.nodes[(node.index + 1) % nodes] as Node);
      while (node.neighbours.size < Math.min(links / 2, nodes - 1)) this.#link(node, this.pick());
      for (let i = 0; i < NOISE_FILES; i++)
        node.files.set(`noise-${node.index}-${i}`, ["video", `noise${this.random.integer(0, 5_000)}`]);
    }
    const wanted = new Set<Node>();
    while (wanted.size < sharers) wanted.add(this.pick());
    for (const node of wanted) node.files.set(`wanted-${node.index}`, ["cat", "video"]);
    if (digests) for (const node of this.nodes) node.digest = Digest.of([...node.files.values()].flat());
    while (this.liars.size < liars) this.liars.add(this.pick());
  }

  pick(): Node {
    return this.nodes[this.random.integer(0, this.nodes.length - 1)] as Node;
  }

  /** One that does not have itself what is looked for. */
  asker(): Node {
    for (;;) {
      const node = this.pick();
      if (![...node.files.keys()].some((name) => name.startsWith("wanted"))) return node;
    }
  }

  /** Asks from one node until the answer has ended. */
  search(
    from: Node,
    words: readonly string[],
    limit = 50,
  ): { found: Set<string>; touched: number; ms: number } {
    this.touched = new Set();
    const found = new Set<string>();
    const begunMs = this.clock.monotonicMs();
    let firstMs: number | undefined;
    let isOver = false;
    from.flood.search(
      { words, limit, timeMs: QUESTION_MS },
      {
        hits: (tickets) => {
          firstMs ??= this.clock.monotonicMs() - begunMs;
          for (const ticket of tickets) found.add(ticket);
        },
        end: () => (isOver = true),
      },
    );
    for (let ms = 0; ms < QUESTION_MS + 1_000 && !isOver; ms += 10) this.clock.advance(10);
    expect(isOver).toBe(true);
    return { found, touched: this.touched.size, ms: firstMs ?? Number.POSITIVE_INFINITY };
  }

  #node(index: number): Node {
    const neighbours = new Set<Node>();
    const node: Node = {
      index,
      neighbours,
      files: new Map(),
      digest: Digest.of([]),
      flood: new Flood({
        clock: this.clock,
        random: this.random.fork(`node-${index}`),
        neighbours: (words) =>
          [...neighbours].map((other) => ({ id: String(other.index), matches: other.digest.mayHave(words) })),
        own: (words, countMax) =>
          [...node.files]
            .filter(([, has]) => words.every((word) => has.includes(word)))
            .map(([ticket]) => ticket)
            .slice(0, countMax),
        isSound: () => true,
        ask: (to, query, reply) => this.#carry(node, this.nodes[Number(to)] as Node, query, reply),
      }),
    };
    return node;
  }

  #link(a: Node, b: Node): void {
    if (a === b) return;
    a.neighbours.add(b);
    b.neighbours.add(a);
  }

  /** Each message takes its time; what is given up is not heard any more. */
  #carry(from: Node, to: Node, query: Query, reply: Reply): () => void {
    const delayMs = this.random.integer(10, 80);
    const later = (act: () => void): void => void this.clock.setTimer(delayMs, act);
    let isHeard = true;
    let stop = (): void => {};
    later(() => {
      this.asked += 1;
      this.touched.add(to);
      if (this.liars.has(to)) {
        later(() => isHeard && reply.end(0));
        return;
      }
      stop = to.flood.serve(String(from.index), to.neighbours.has(from), query, {
        hits: (tickets) => later(() => isHeard && reply.hits(tickets)),
        end: (touched) => later(() => isHeard && reply.end(touched)),
      });
    });
    return () => {
      isHeard = false;
      later(() => stop());
    };
  }
}

interface Figures {
  readonly found: number;
  readonly touchedMean: number;
  readonly touchedMax: number;
  readonly msP50: number;
}

function figures(world: World, questions: number, words: readonly string[] = ["cat", "video"]): Figures {
  let found = 0;
  const touched: number[] = [];
  const ms: number[] = [];
  for (let i = 0; i < questions; i++) {
    const result = world.search(world.asker(), words);
    if (result.found.size > 0) found += 1;
    touched.push(result.touched / world.nodes.length);
    ms.push(result.ms);
    world.clock.advance(10_000);
  }
  ms.sort((a, b) => a - b);
  return {
    found: found / questions,
    touchedMean: touched.reduce((sum, share) => sum + share, 0) / questions,
    touchedMax: Math.max(...touched),
    msP50: ms[questions >> 1] as number,
  };
}

describe("1,000 peers with 32 links each", () => {
  test("what 1 % of them share is found by at least 95 % of the questions, which touch at most 15 % of all", () => {
    const measured = figures(new World({ nodes: 1_000, seed: 7, sharers: 10 }), 300);
    expect(measured.found).toBeGreaterThanOrEqual(0.95);
    expect(measured.touchedMax).toBeLessThanOrEqual(0.15);
  });

  test("what one of them alone shares is found often, for the same", () => {
    const measured = figures(new World({ nodes: 1_000, seed: 8, sharers: 1 }), 100);
    expect(measured.found).toBeGreaterThanOrEqual(0.9);
    expect(measured.touchedMax).toBeLessThanOrEqual(0.15);
  });

  test("what nobody shares, and what everybody shares, costs no more", () => {
    const world = new World({ nodes: 1_000, seed: 9, sharers: 0 });
    expect(figures(world, 20)).toMatchObject({ found: 0 });
    expect(figures(world, 20).touchedMax).toBeLessThanOrEqual(0.15);
    expect(figures(world, 20, ["video"])).toMatchObject({ found: 1 });
    expect(figures(world, 20, ["video"]).touchedMax).toBeLessThanOrEqual(0.15);
  });

  test("without digests the walk alone finds most of it", () => {
    const measured = figures(new World({ nodes: 1_000, seed: 10, sharers: 10, digests: false }), 100);
    expect(measured.found).toBeGreaterThanOrEqual(0.5);
    expect(measured.touchedMax).toBeLessThanOrEqual(0.15);
  });

  test("a fifth of them that pass nothing on and say they were not touched make nobody an amplifier", () => {
    const world = new World({ nodes: 1_000, seed: 11, sharers: 10, liars: 200 });
    const measured = figures(world, 100);
    expect(measured.found).toBeGreaterThanOrEqual(0.9);
    const before = world.asked;
    world.search(world.pick(), ["nowhere"]);
    expect(world.asked - before).toBeLessThanOrEqual(3 * BUDGET_MAX);
  });
});

test("in a small network every question finds what is there", () => {
  for (const [nodes, links] of [
    [2, 2],
    [6, 4],
    [12, 8],
    [30, 8],
    [30, 16],
    [60, 32],
    [120, 32],
  ] as const) {
    const measured = figures(new World({ nodes, seed: nodes, sharers: 1, links }), 40);
    expect(measured.found, `${nodes} peers with ${links} links`).toBe(1);
  }
});

test("a neighbour that asks without end is answered from its neighbour alone in the end, then not at all", () => {
  const world = new World({ nodes: 200, seed: 12, sharers: 0 });
  const [attacker] = world.nodes as [Node];
  const victim = [...attacker.neighbours][0] as Node;
  let answered = 0;
  for (let i = 0; i < 1_000; i++) {
    const id = world.random.bytes(16);
    const query = { id, words: ["video"], limit: 1, ttl: 8, budget: BUDGET_MAX, timeMs: 5_000 };
    const unlimited = { ...query, words: ["nowhere"] };
    victim.flood.serve(String(attacker.index), true, unlimited, {
      hits: () => {},
      end: (touched) => (answered += Number(touched > 0)),
    });
  }
  world.clock.advance(30_000);
  expect(answered).toBeLessThanOrEqual(100);
  expect(world.asked).toBeLessThanOrEqual(2 * 16 * BUDGET_MAX + 100);
});
