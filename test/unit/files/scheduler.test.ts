/** Which chunk next, from whom: rarest first, each once, what a lost or slow source had goes to others, and nobody gets more than it can do. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Bitfield } from "../../../peer/services/files/bitfield.ts";
import { type Request, Scheduler, type SourceState } from "../../../peer/services/files/scheduler.ts";

const CHUNK = 256 * 1024;

/** Park and Miller's generator: the same choices in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

function schedulerOf(count: number, seed = 1): Scheduler {
  return new Scheduler(Bitfield.full(count), CHUNK, seeded(seed));
}

function bitsOf(count: number, indexes: readonly number[]): Bitfield {
  const bits = new Bitfield(count);
  for (const index of indexes) bits.add(index);
  return bits;
}

function join(scheduler: Scheduler, bits: Bitfield, rttMs = 0, nowMs = 0): SourceState {
  return scheduler.join({ bits, rttMs: () => rttMs, isLost: () => false }, nowMs);
}

function takeAll(scheduler: Scheduler, source: SourceState, nowMs = 0): Request[] {
  const taken: Request[] = [];
  for (let each = scheduler.take(source, nowMs); each !== undefined; each = scheduler.take(source, nowMs))
    taken.push(each);
  return taken;
}

function deliver(scheduler: Scheduler, source: SourceState, index: number, nowMs: number): boolean {
  if (scheduler.arrived(source, index, CHUNK, nowMs) !== "wanted") return false;
  return scheduler.verified(index) !== undefined && scheduler.done(index);
}

describe("how much", () => {
  test("a new source gets a mebibyte to do, one that delivers fast more, a slow one two chunks", () => {
    const scheduler = schedulerOf(1_000);
    const [fast, slow] = [join(scheduler, Bitfield.full(1_000)), join(scheduler, Bitfield.full(1_000))];
    expect(takeAll(scheduler, fast)).toHaveLength(4);
    expect(takeAll(scheduler, slow)).toHaveLength(4);
    for (let step = 1; step <= 40; step++) {
      const [index] = fast.pending;
      deliver(scheduler, fast, index as number, 5 * step);
      takeAll(scheduler, fast, 5 * step);
    }
    // 52 MB/s for a round trip of nothing and 100 ms of queue, and a quarter more.
    expect(fast.pending.size).toBeGreaterThan(20);
    expect(fast.pending.size).toBeLessThan(28);
    for (const [at, index] of [...slow.pending].entries()) deliver(scheduler, slow, index, 1_000 * (at + 1));
    takeAll(scheduler, slow, 4_000);
    expect(slow.pending.size).toBe(2);
  });

  test("a long path is filled", () => {
    const scheduler = schedulerOf(1_000);
    const far = join(scheduler, Bitfield.full(1_000), 200);
    for (let step = 1; step <= 40; step++) {
      takeAll(scheduler, far, 25 * step);
      deliver(scheduler, far, [...far.pending][0] as number, 25 * step);
    }
    // 10.5 MB/s for 300 ms, and a quarter more.
    expect(far.pending.size * CHUNK).toBeGreaterThan(3_000_000);
    expect(far.pending.size * CHUNK).toBeLessThan(4_500_000);
  });
});

describe("rarest first", () => {
  test("what one incomplete source has goes before what two have, what none has before both", () => {
    const scheduler = schedulerOf(12);
    join(scheduler, bitsOf(12, [0, 1, 2, 3, 4, 5, 6, 7]));
    join(scheduler, bitsOf(12, [0, 1, 2, 3]));
    const seed = join(scheduler, Bitfield.full(12), 1_000);
    const order: number[] = [];
    for (let i = 0; i < 12; i++) {
      const { index } = scheduler.take(seed, i) as Request;
      order.push(index);
      deliver(scheduler, seed, index, i);
    }
    const group = (from: number): number[] => order.slice(from, from + 4).toSorted((a, b) => a - b);
    expect([group(0), group(4), group(8)]).toEqual([
      [8, 9, 10, 11],
      [4, 5, 6, 7],
      [0, 1, 2, 3],
    ]);
  });

  test("among equals the choice is free, and a seed repeats it", () => {
    const first = (seed: number): number[] => {
      const scheduler = schedulerOf(100, seed);
      return takeAll(scheduler, join(scheduler, Bitfield.full(100))).map(({ index }) => index);
    };
    expect(first(1)).toEqual(first(1));
    expect(first(1)).not.toEqual(first(2));
  });

  test("nobody is asked for what it does not have; told of more, it is", () => {
    const scheduler = schedulerOf(8);
    const partial = join(scheduler, bitsOf(8, [2]));
    expect(takeAll(scheduler, partial).map(({ index }) => index)).toEqual([2]);
    scheduler.tell(partial, 5, 0);
    expect(takeAll(scheduler, partial).map(({ index }) => index)).toEqual([5]);
  });

  test("told of a chunk again, it has it no longer, and others are asked for what it owed; a complete one counts from then on", () => {
    const scheduler = schedulerOf(8);
    const partial = join(scheduler, bitsOf(8, [3]));
    expect(takeAll(scheduler, partial).map(({ index }) => index)).toEqual([3]);
    scheduler.tell(partial, 3, 0);
    expect([partial.bits.has(3), partial.pending.size]).toEqual([false, 0]);
    const full = join(scheduler, Bitfield.full(8));
    for (const index of [0, 1, 2]) scheduler.tell(full, index, 0);
    scheduler.tell(full, 0, 0);
    expect(full).toMatchObject({ isCounted: true, forgets: true });
    expect(new Set(takeAll(scheduler, full).map(({ index }) => index)).has(1)).toBe(false);
    const third = join(scheduler, bitsOf(8, [1, 7]));
    expect(takeAll(scheduler, third).map(({ index }) => index)).toContain(1);
    // What came all the same is no lie.
    expect(scheduler.arrived(partial, 3, CHUNK, 10)).not.toBe("unasked");
    for (const source of [partial, full, third]) scheduler.dropped(source);
  });

  test("the only one with rare chunks is not kept busy with what another has come to have", () => {
    const scheduler = schedulerOf(20);
    const seed = join(scheduler, Bitfield.full(20));
    const other = join(scheduler, new Bitfield(20));
    takeAll(scheduler, seed);
    for (const [at, index] of [...seed.pending].slice(0, 3).entries())
      deliver(scheduler, seed, index, 1_000 * (at + 1));
    takeAll(scheduler, seed, 3_000);
    const [, asked] = seed.pending;
    expect(scheduler.tell(other, asked as number, 3_000)).toBe(seed);
    expect(seed.pending.has(asked as number)).toBe(false);
    expect(takeAll(scheduler, other, 3_000).map(({ index }) => index)).toEqual([asked]);
  });
});

describe("a reader in order", () => {
  test("is served from where it stands, and not left behind", () => {
    const scheduler = schedulerOf(100);
    const source = join(scheduler, Bitfield.full(100));
    const take = (next: number, below: number) => scheduler.take(source, 0, { next, below })?.index;
    expect([take(0, 2), take(0, 2), take(0, 2)]).toEqual([0, 1, undefined]);
    expect(take(0, 3)).toBe(2);
    expect(take(50, 100)).toBe(50);
  });
});

describe("who falls behind", () => {
  test("what a lost source had under way goes to the others", () => {
    const scheduler = schedulerOf(4);
    const lost = join(scheduler, Bitfield.full(4));
    expect(takeAll(scheduler, lost)).toHaveLength(4);
    const other = join(scheduler, Bitfield.full(4));
    scheduler.dropped(lost);
    expect(takeAll(scheduler, other)).toHaveLength(4);
  });

  test("a slow source loses its later chunks to a fast one, and its next is asked for twice", () => {
    const scheduler = schedulerOf(200);
    const [slow, fast] = [join(scheduler, Bitfield.full(200)), join(scheduler, Bitfield.full(200))];
    takeAll(scheduler, slow);
    let nowMs = 0;
    for (takeAll(scheduler, fast); fast.pending.size > 0; takeAll(scheduler, fast, nowMs))
      deliver(scheduler, fast, [...fast.pending][0] as number, (nowMs += 5));
    expect(scheduler.isComplete).toBe(true);
    expect(slow.pending.size).toBe(0);
    expect(slow.cancelled.size).toBe(4);
    // 200 chunks of 5 ms, and no waiting for the slow one.
    expect(nowMs).toBe(1_000);
  });

  test("what one without a path owes goes to who has one, also what was taken from that one before; it is asked for nothing", () => {
    const scheduler = schedulerOf(4);
    let isLost = false;
    const lost = scheduler.join({ bits: Bitfield.full(4), rttMs: () => 0, isLost: () => isLost }, 0);
    const other = join(scheduler, Bitfield.full(4));
    const [first, second] = takeAll(scheduler, lost).map(({ index }) => index) as [number, number];
    other.cancelled.add(first);
    isLost = true;
    expect(takeAll(scheduler, lost, 20)).toEqual([]);
    const taken = takeAll(scheduler, other, 20).map(({ index }) => index);
    expect(taken).toHaveLength(4);
    expect(taken).toEqual(expect.arrayContaining([first, second]));
  });

  test("what two were asked for that have both fallen silent is asked for once more", () => {
    const scheduler = schedulerOf(200);
    const [first, second] = [join(scheduler, Bitfield.full(200)), join(scheduler, Bitfield.full(200))];
    takeAll(scheduler, first);
    let nowMs = 0;
    const alone = (): number | undefined => [...second.pending].find((index) => !first.pending.has(index));
    takeAll(scheduler, second);
    for (let index = alone(); index !== undefined; index = alone()) {
      deliver(scheduler, second, index, (nowMs += 5));
      takeAll(scheduler, second, nowMs);
    }
    expect(second.pending.size).toBeGreaterThan(0);
    const third = join(scheduler, Bitfield.full(200), 0, nowMs);
    expect(takeAll(scheduler, third, nowMs)).toEqual([]);
    expect(takeAll(scheduler, third, nowMs + 20_000).length).toBeGreaterThan(0);
  });

  test("what is late is asked for twice towards the end, and not while most is missing", () => {
    const scheduler = schedulerOf(100);
    const late = join(scheduler, bitsOf(100, [0, 1]));
    takeAll(scheduler, late);
    const other = join(scheduler, bitsOf(100, [0, 1]), 0, 1_000);
    expect(scheduler.take(other, 1_000)).toBeUndefined();
    const complete = join(scheduler, Bitfield.full(100), 0, 1_000);
    for (let given = 0; given < 60; given++) {
      takeAll(scheduler, complete, 1_000);
      deliver(scheduler, complete, [...complete.pending][0] as number, 1_000);
    }
    expect([0, 1]).toContain(scheduler.take(other, 1_000)?.index);
  });

  test("between equals nothing is asked for twice", () => {
    const scheduler = schedulerOf(16);
    const sources = [0, 1, 2, 3].map(() => join(scheduler, Bitfield.full(16)));
    for (const source of sources) takeAll(scheduler, source);
    for (const source of sources) expect(source.pending.size).toBe(4);
    deliver(scheduler, sources[0] as SourceState, [...(sources[0] as SourceState).pending][0] as number, 30);
    expect(takeAll(scheduler, sources[0] as SourceState, 30)).toEqual([]);
  });

  test("what comes after it was taken back is late, what was never asked for is a lie", () => {
    const scheduler = schedulerOf(4);
    const source = join(scheduler, Bitfield.full(4));
    const other = join(scheduler, Bitfield.full(4));
    const { index } = scheduler.take(source, 0) as Request;
    expect(scheduler.arrived(other, index, CHUNK, 1)).toBe("unasked");
    expect(deliver(scheduler, source, index, 1)).toBe(true);
    expect(scheduler.arrived(source, index, CHUNK, 2)).toBe("unasked");
  });
});

test("whatever the sources do, every chunk is stored once, the end is reached, and few are asked for twice", () => {
  const step = fc.record({
    source: fc.nat(2),
    what: fc.constantFrom("deliver", "corrupt", "drop", "tell"),
    afterMs: fc.nat(400),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.array(step, { maxLength: 200 }), (count, steps) => {
      const scheduler = schedulerOf(count);
      const parts = [Bitfield.full(count), new Bitfield(count), bitsOf(count, [0, count - 1])];
      const sources = parts.map((bits) => join(scheduler, bits));
      const stored: number[] = [];
      let nowMs = 0;
      const act = (source: SourceState, what: string): void => {
        takeAll(scheduler, source, nowMs);
        const [index] = source.pending;
        if (what === "drop") scheduler.dropped(source);
        else if (what === "tell") scheduler.tell(source, nowMs % count, nowMs);
        else if (index !== undefined && what === "corrupt") {
          if (scheduler.arrived(source, index, CHUNK, nowMs) === "wanted") scheduler.retry(index);
        } else if (index !== undefined && deliver(scheduler, source, index, nowMs)) stored.push(index);
      };
      for (const { source, what, afterMs } of steps) {
        nowMs += afterMs;
        act(sources[source] as SourceState, what);
      }
      for (const source of sources) scheduler.dropped(source);
      const last = join(scheduler, Bitfield.full(count), 0, nowMs);
      for (let left = 0; left < 4 * count && !scheduler.isComplete; left++) {
        nowMs += 10;
        act(last, "deliver");
      }
      expect(scheduler.isComplete).toBe(true);
      expect(stored.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, index) => index));
    }),
  );
});
