/**
 * Writers, and a cheat among them, in a network that is cut anyhow: in the end all honest peers have the same entries in the same order,
 * the same state, and the same proofs.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Feed } from "../../../peer/services/feeds/feed.ts";
import type { ReducedFeedOptions } from "../../../peer/services/feeds/feeds.ts";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { MemoryLogs } from "../../unit/feeds/memory-logs.ts";
import { type FeedPeer, FeedWorld } from "./world.ts";

interface Tally {
  readonly sum: number;
  readonly text: string;
}

/** Values add up; a cheat's `999` is refused where the sum that it knew of was odd, which depends on what it knew. */
const RULES: ReducedFeedOptions<Tally> = {
  initial: { sum: 0, text: "" },
  apply: ({ sum, text }, { value }) => ({
    sum: sum + Number(value),
    text: `${text} ${JSON.stringify(value)}`,
  }),
  validate: ({ value }, { sum }) => (value === 999 && sum % 2 !== 0 ? "reject" : "accept"),
};
/** The same without judging. */
const LAX: ReducedFeedOptions<Tally> = { initial: RULES.initial, apply: RULES.apply };

async function view(feed: Feed<Tally>): Promise<unknown> {
  const entries: unknown[] = [];
  for await (const { writer, seq, hash, value } of feed.entries()) entries.push([writer, seq, hash, value]);
  return { entries, state: feed.state, forks: feed.forks(), heads: feed.heads() };
}

async function check(seed: number, kind: "honest" | "forking" | "refused"): Promise<void> {
  const world = new FeedWorld(seed);
  const random = seededRandom(`${seed}/steps`);
  const pick = (count: number): number => Math.floor(random.unit() * count);
  try {
    const names = ["anna", "ben", "cleo", "cheat"];
    const identities = await Promise.all(names.map((name) => world.identity(name)));
    const options = { writers: identities.map(({ id }) => id), rules: "tally/1" };
    const honest: Feed<Tally>[] = [];
    const cheats: Feed<Tally>[] = [];
    for (const [i, identity] of identities.entries()) {
      const isCheat = i === 3;
      let logs = new MemoryLogs();
      // The cheat runs three times with one identity; each begins with what the one before had written.
      for (let copy = 0; copy < (isCheat && kind === "forking" ? 3 : 1); copy++) {
        const peer = world.add(identity, `${names[i]}/${copy}`, logs);
        if (isCheat) peer.group = 10 + copy;
        const rules = isCheat && kind === "refused" ? LAX : RULES;
        const opened = peer.feeds.open<Tally>("tally", { ...rules, ...options });
        const feed = await world.clock.runUntil(opened, 60_000);
        (isCheat ? cheats : honest).push(feed);
        if (!isCheat) continue;
        for (let count = pick(4); count > 0; count--) await world.clock.runUntil(feed.append(2 * pick(50)));
        logs = logs.copy();
      }
    }
    const all = [...honest, ...cheats];
    for (let step = 0; step < 25; step++) {
      if (pick(5) === 0) {
        const groups = 1 + pick(3);
        // Copies of one identity are in groups of their own, or in those of others who then hear of them.
        const ofCheat = (i: number): number => (pick(2) === 0 ? i - 3 : 7 + i);
        world.regroup((_, i) => (i >= 3 && kind === "forking" ? ofCheat(i) : pick(groups)));
      }
      const feed = all[pick(all.length)] as Feed<Tally>;
      const count = 1 + pick(3);
      for (let i = 0; i < count; i++) {
        const value = pick(4) === 0 ? 999 : pick(100);
        // Refused, forked or behind: then not.
        feed.append(value).catch(() => {});
      }
      await world.clock.advance(pick(3) === 0 ? 2_000 : pick(60));
    }
    world.regroup(() => 0);
    await world.clock.advance(180_000);
    const views = await Promise.all(honest.map(view));
    for (const each of views) expect(each).toEqual(views[0]);
    expect(honest[0]?.length).toBeGreaterThan(0);
    if (kind !== "forking") expect(honest[0]?.forks()).toEqual([]);
    for (const feed of honest) expect(feed.status().blamed).toBe(0);
    // Alone, and from its disk, each has the same again.
    world.regroup((_, i) => i);
    const [first] = honest as [Feed<Tally>];
    await world.clock.runUntil(first.close(), 60_000);
    const opening = (world.peers[0] as FeedPeer).feeds.open<Tally>(first.address, RULES);
    expect(await view(await world.clock.runUntil(opening, 60_000))).toEqual(views[0]);
  } finally {
    await world.close();
  }
}

const seeds = fc.integer({ min: 0, max: 2 ** 31 });

test("honest writers in a network that is cut and mended", async () => {
  await fc.assert(
    fc.asyncProperty(seeds, (seed) => check(seed, "honest")),
    { numRuns: 6, endOnFailure: true },
  );
});

test("a writer that forks, here and there and again", async () => {
  await fc.assert(
    fc.asyncProperty(seeds, (seed) => check(seed, "forking")),
    { numRuns: 8, endOnFailure: true },
  );
});

test("a writer whose entries the rules refuse", async () => {
  await fc.assert(
    fc.asyncProperty(seeds, (seed) => check(seed, "refused")),
    { numRuns: 6, endOnFailure: true },
  );
});
