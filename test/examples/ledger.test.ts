/** The ledger that the documentation shows: spending twice fails, whoever tries it and however. */
import { expect, onTestFinished, test } from "vitest";
import { nodeRandom } from "../../peer/adapters/node/random.ts";
import { nodeRuntime } from "../../peer/adapters/node/runtime.ts";
import { ALL_PARTS } from "../../peer/api/all-parts.ts";
import { Peer as CorePeer } from "../../peer/api/peer.ts";
import { generateIdentity, type Identity } from "../../peer/identity/identity.ts";
import type { Feed } from "../../peer/node.ts";
import { codeOf } from "../integration/peers.ts";
import { feedUntil } from "../integration/feed-state.ts";
import { balanceOf, JOINT, type Ledger, ledger, type Transfer } from "./ledger.ts";

async function open(identity: Identity): Promise<CorePeer> {
  const runtime = nodeRuntime({ dataDir: undefined, webrtc: undefined });
  const options = { edge: null, listen: "127.0.0.1:0", webrtc: false, lan: false } as const;
  const peer = await CorePeer.openOn(runtime, identity, options, ALL_PARTS);
  onTestFinished(() => peer.close());
  return peer;
}

async function meet(from: CorePeer, ...others: readonly CorePeer[]): Promise<void> {
  for (const other of others) await from.connect(other.id, { addresses: other.listenAddresses });
}

const spend = (from: string, to: string, coins: number): Transfer & Record<string, string | number> => ({
  from,
  to,
  coins,
});

async function three(): Promise<{ identities: Identity[]; peers: CorePeer[]; feeds: Feed<Ledger>[] }> {
  const identities = await Promise.all([1, 2, 3].map(() => generateIdentity(nodeRandom)));
  const peers = await Promise.all(identities.map(open));
  const options = ledger(identities.map(({ id }) => id));
  return {
    identities,
    peers,
    feeds: await Promise.all(peers.map((peer) => peer.feeds.open("ledger", options))),
  };
}

test("coins move, and what is not covered or not one's own does not", async () => {
  const { peers, feeds } = await three();
  const [anna, ben, cleo] = peers as [CorePeer, CorePeer, CorePeer];
  const [a, b] = feeds as [Feed<Ledger>, Feed<Ledger>, Feed<Ledger>];
  await meet(anna, ben, cleo);
  await a.append(spend(anna.id, ben.id, 60));
  await a.append(spend(anna.id, cleo.id, 60));
  expect(a.state.refused).toEqual([(await a.get(anna.id, 1))?.hash]);
  expect(await codeOf(a.append(spend(ben.id, anna.id, 1)))).toBe("feeds/refused");
  expect(await codeOf(a.append(spend(anna.id, ben.id, -5)))).toBe("feeds/refused");
  await feedUntil(b, ({ length }) => length === 2);
  // Ben spends what he has just got.
  await b.append(spend(ben.id, cleo.id, 160));
  for (const feed of feeds) {
    await feedUntil(feed, ({ length }) => length === 3);
    expect([anna, ben, cleo].map(({ id }) => balanceOf(feed.state, id))).toEqual([40, 0, 260]);
  }
});

test("of two who empty the joint account without knowing of each other all believe the same one", async () => {
  const { peers, feeds } = await three();
  const [anna, ben, cleo] = peers as [CorePeer, CorePeer, CorePeer];
  const [a, b, c] = feeds as [Feed<Ledger>, Feed<Ledger>, Feed<Ledger>];
  // Nobody has met anybody yet.
  await a.append(spend(JOINT, anna.id, 100));
  await b.append(spend(JOINT, ben.id, 100));
  expect([balanceOf(a.state, anna.id), balanceOf(b.state, ben.id)]).toEqual([200, 200]);
  await meet(anna, ben, cleo);
  await meet(ben, cleo);
  for (const feed of feeds) await feedUntil(feed, ({ length }) => length === 2);
  expect(b.state).toEqual(a.state);
  expect(c.state).toEqual(a.state);
  expect(a.state.refused).toHaveLength(1);
  expect(balanceOf(a.state, anna.id) + balanceOf(a.state, ben.id)).toBe(300);
  expect(balanceOf(a.state, JOINT)).toBe(0);
  for (const feed of feeds) expect(feed.forks()).toEqual([]);
});

test("who signs two transfers of the same coins is proven a forger, and neither counts", async () => {
  const { identities, peers, feeds } = await three();
  const [anna, ben, cleo] = peers as [CorePeer, CorePeer, CorePeer];
  const [a, b, c] = feeds as [Feed<Ledger>, Feed<Ledger>, Feed<Ledger>];
  // Anna runs twice, and shows one transfer to Ben and the other to Cleo.
  const twin = await open(identities[0] as Identity);
  const other = await twin.feeds.open("ledger", ledger(peers.map(({ id }) => id)));
  await a.append(spend(anna.id, ben.id, 100));
  await other.append(spend(anna.id, cleo.id, 100));
  await meet(anna, ben);
  await meet(twin, cleo);
  await feedUntil(b, ({ state }) => balanceOf(state, ben.id) === 200);
  await feedUntil(c, ({ state }) => balanceOf(state, cleo.id) === 200);
  await meet(ben, cleo);
  for (const feed of [b, c]) {
    await feedUntil(feed, () => feed.forks().length === 1);
    await feedUntil(feed, ({ length }) => length === 0);
    expect([ben, cleo].map(({ id }) => balanceOf(feed.state, id))).toEqual([100, 100]);
  }
  const [proof] = b.forks();
  expect(proof).toMatchObject({ writer: anna.id, seq: 0 });
  expect(c.forks()).toEqual(b.forks());
  // The proof is worth something by itself.
  expect(await c.checkFork(proof?.proof ?? new Uint8Array(0))).toEqual(proof);
});

test("a newcomer has all of a long ledger, and believes what the others do", async () => {
  const { peers, feeds } = await three();
  const [anna, ben, cleo] = peers as [CorePeer, CorePeer, CorePeer];
  const [a, b, c] = feeds as [Feed<Ledger>, Feed<Ledger>, Feed<Ledger>];
  await meet(anna, ben, cleo);
  await meet(ben, cleo);
  // A coin at a time, and mostly not covered: each has 100, and what comes back.
  const pay = (feed: Feed<Ledger>, from: CorePeer, to: CorePeer): Promise<unknown> =>
    Promise.all(Array.from({ length: 5_000 }, () => feed.append(spend(from.id, to.id, 1))));
  await pay(a, anna, ben);
  await feedUntil(b, ({ length }) => length === 5_000);
  await pay(b, ben, anna);
  await Promise.all(feeds.map((feed) => feedUntil(feed, ({ length }) => length === 10_000)));
  // Whose are none of the accounts.
  const newcomer = await open(await generateIdentity(nodeRandom));
  await meet(newcomer, anna, ben, cleo);
  const late = await newcomer.feeds.open("ledger", ledger(peers.map(({ id }) => id)));
  await feedUntil(late, ({ length }) => length === 10_000);
  expect(late.state).toEqual(a.state);
  expect([b.state, c.state]).toEqual([a.state, a.state]);
  expect(late.heads()).toEqual(a.heads());
  expect(balanceOf(late.state, anna.id) + balanceOf(late.state, ben.id)).toBe(200);
});
