/** Feeds between real peers: synchronised, kept, forged and forked, with the edge and without. */
import { describe, expect, onTestFinished, test } from "vitest";
import { fromHex } from "../../shared/bytes.ts";
import { generateIdentity, type Identity } from "../../peer/identity/identity.ts";
import { nodeRandom } from "../../peer/adapters/node/random.ts";
import { nodeRuntime } from "../../peer/adapters/node/runtime.ts";
import { ALL_PARTS } from "../../peer/api/all-parts.ts";
import { Peer as CorePeer } from "../../peer/api/peer.ts";
import type { Feed, FeedFork, Peer } from "../../peer/node.ts";
import type { LogHost } from "../../peer/runtime.ts";
import { MemoryLogs } from "../unit/feeds/memory-logs.ts";
import { temporaryFolder } from "./command.ts";
import { bootstrapOf, codeOf, linkedTo, openEdge, openPeer } from "./peers.ts";
import { noticesOf, serveLies } from "./feed-liar.ts";
import { feedUntil as until } from "./feed-state.ts";

const PURE = { edge: null, listen: "127.0.0.1:0", webrtc: false } as const;

async function circle(count: number): Promise<Peer[]> {
  const first = await openPeer(PURE);
  const others = Array.from({ length: count - 1 }, () =>
    openPeer({ ...PURE, bootstrap: bootstrapOf(first) }),
  );
  const peers = [first, ...(await Promise.all(others))];
  await Promise.all(peers.map((peer) => linkedTo(peer, count - 1)));
  return peers;
}

async function valuesOf<State>(feed: Feed<State>): Promise<unknown[]> {
  const values: unknown[] = [];
  for await (const { value } of feed.entries()) values.push(value);
  return values;
}

async function fill<State>(
  feed: Feed<State>,
  count: number,
  make = (i: number) => `entry ${i}`,
): Promise<void> {
  for (let i = 0; i < count; i += 4_096) {
    const some = Array.from({ length: Math.min(4_096, count - i) }, (_, k) => feed.append(make(i + k)));
    await Promise.all(some);
  }
}

/** Another process of an identity: what a writer that forks is, unless it has the same logs. */
async function openTwin(identity: Identity, bootstrap: readonly string[], logs?: LogHost): Promise<CorePeer> {
  const runtime = { ...nodeRuntime({ dataDir: undefined, webrtc: undefined }), logs };
  const peer = await CorePeer.openOn(runtime, identity, { ...PURE, lan: false, bootstrap }, ALL_PARTS);
  onTestFinished(() => peer.close());
  return peer;
}

describe("one writer", () => {
  test("what is appended is read and followed by all, in order, whatever kind of value it is", async () => {
    const [writer, reader, other] = (await circle(3)) as [Peer, Peer, Peer];
    const feed = await writer.feeds.open("diary");
    const values = ["text with ü", new Uint8Array([1, 2, 3]), { a: [1, null, true, "x"] }, "", 0, null];
    for (const value of values) await feed.append(value);
    const copy = await reader.feeds.open(feed.address);
    const third = await other.feeds.open("diary", { writers: [writer.id] });
    expect(third.address).toBe(feed.address);
    expect({ name: copy.name, writers: copy.writers, rules: copy.rules }).toEqual({
      name: "diary",
      writers: [writer.id],
      rules: "",
    });
    const followed: unknown[] = [];
    for await (const { value, seq, writer: by } of copy) {
      expect(by).toBe(writer.id);
      expect(seq).toBe(followed.length);
      followed.push(value);
      if (followed.length === values.length) await feed.append("later");
      if (followed.length > values.length) break;
    }
    expect(followed).toEqual([...values, "later"]);
    await until(third, ({ length }) => length === values.length + 1);
    expect(await valuesOf(third)).toEqual(followed);
    expect(third.heads()).toEqual(feed.heads());
    expect(await copy.get(writer.id, 0)).toEqual(await feed.get(writer.id, 0));
    expect(await copy.get(writer.id, 99)).toBeUndefined();
    expect(await copy.get("nonsense", 0)).toBeUndefined();
    expect(await codeOf(copy.append("mine"))).toBe("feeds/not-writer");
  });

  test("wrong use has a name", async () => {
    const peer = await openPeer({ edge: null });
    const feed = await peer.feeds.open("notes");
    expect(await codeOf(feed.append("x".repeat(65_537)))).toBe("feeds/too-large");
    expect(await codeOf(feed.append(new Map() as never))).toBe("usage/invalid");
    expect((await feed.append("x".repeat(65_536))).seq).toBe(0);
    expect(await codeOf(peer.feeds.open("notes"))).toBe("usage/invalid");
    expect(await codeOf(peer.feeds.open(""))).toBe("usage/invalid");
    expect(await codeOf(peer.feeds.open("n".repeat(65)))).toBe("usage/invalid");
    expect(await codeOf(peer.feeds.open("other", { writers: ["me"] }))).toBe("id/invalid");
    expect(await codeOf(peer.feeds.open("ab".repeat(32), { rules: "x" }))).toBe("usage/invalid");
    const soon = AbortSignal.timeout(50);
    expect(await codeOf(peer.feeds.open("ab".repeat(32), { signal: soon }))).not.toBe("none");
    await feed.close();
    await feed.close();
    expect(await codeOf(feed.append("late"))).toBe("feeds/closed");
    await peer.close();
    expect(await codeOf(peer.feeds.open("notes"))).toBe("peer/closed");
  });

  test("copies outlive the writer and the edge, and a newcomer has all from them", async () => {
    const edge = await openEdge();
    const open = (): Promise<Peer> => openPeer({ edge: edge.url, listen: "127.0.0.1:0", webrtc: false });
    const [writer, first, second] = [await open(), await open(), await open()];
    await Promise.all([writer, first, second].map((peer) => linkedTo(peer, 2)));
    const feed = await writer.feeds.open("lasting");
    await fill(feed, 700);
    const copies = await Promise.all([first, second].map((peer) => peer.feeds.open(feed.address)));
    await Promise.all(copies.map((copy) => until(copy, ({ length }) => length === 700)));
    await writer.close();
    await edge.stop();
    const newcomer = await openPeer({ ...PURE, bootstrap: bootstrapOf(first) });
    const late = await newcomer.feeds.open(feed.address);
    await until(late, ({ length }) => length === 700);
    expect(late.heads()).toEqual(copies[0]?.heads());
  });

  test("a newcomer fetches from several at once while one lies and another dies", async () => {
    const entries = 6_000;
    const [writer, honest, dying] = (await circle(3)) as [Peer, Peer, Peer];
    const feed = await writer.feeds.open("parallel");
    await fill(feed, entries);
    const holders = await Promise.all([honest, dying].map((peer) => peer.feeds.open(feed.address)));
    await Promise.all(holders.map((copy) => until(copy, ({ length }) => length === entries)));
    const liar = await openPeer({ ...PURE, bootstrap: bootstrapOf(writer) });
    await linkedTo(liar, 3);
    const address = fromHex(feed.address) as Uint8Array;
    const { lies } = serveLies(liar, feed, await noticesOf(liar, writer, address));
    const newcomer = await openPeer({ ...PURE, bootstrap: bootstrapOf(writer) });
    await linkedTo(newcomer, 4);
    const copy = await newcomer.feeds.open("parallel", { writers: [writer.id] });
    await until(copy, ({ length }) => length > 0);
    await dying.close();
    await until(copy, ({ length }) => length === entries);
    expect(lies()).toBeGreaterThan(0);
    expect(copy.status().blamed).toBe(1);
    expect(copy.status().neighbours).not.toContain(liar.id);
    expect((await copy.get(writer.id, entries - 1))?.value).toBe(`entry ${entries - 1}`);
    expect(copy.heads()).toEqual(feed.heads());
  });
});

describe("on disk", () => {
  test("a feed is there again after a restart, goes on, and its state with it", async () => {
    const dataDir = await temporaryFolder();
    const options = {
      initial: 0,
      apply: (sum: number, { value }: { value: unknown }) => sum + Number(value),
    };
    const first = await openPeer({ ...PURE, dataDir });
    const feed = await first.feeds.open<number>("sums", options);
    await Promise.all(Array.from({ length: 1_000 }, (_, i) => feed.append(i)));
    expect(feed.state).toBe(499_500);
    await first.close();
    const second = await openPeer({ ...PURE, dataDir });
    const again = await second.feeds.open<number>(feed.address, options);
    expect({ length: again.length, state: again.state }).toEqual({ length: 1_000, state: 499_500 });
    expect((await again.append(500)).seq).toBe(1_000);
    expect(again.state).toBe(500_000);
    expect((await again.get(second.id, 3))?.value).toBe(3);
  });
});

describe("forks", () => {
  test("a writer whose disk failed once goes on after a restart, and forks nothing", async () => {
    const [reader] = (await circle(1)) as [Peer];
    const identity = await generateIdentity(nodeRandom);
    const logs = new MemoryLogs();
    const copy = await reader.feeds.open("kept", { writers: [identity.id] });
    const first = await openTwin(identity, bootstrapOf(reader), logs);
    const feed = await first.feeds.open("kept");
    await feed.append("one");
    logs.failingSyncs = 1;
    // More than go under one signature: what waits behind those that fail is told, too.
    const lost = Array.from({ length: 600 }, (_, i) => codeOf(feed.append(`lost ${i}`)));
    expect(new Set(await Promise.all(lost))).toEqual(new Set(["data/unwritable"]));
    expect(await codeOf(feed.append("not before it is opened again"))).toBe("data/unwritable");
    await until(copy, ({ length }) => length === 1);
    await first.close();
    for (const [i, value] of ["two", "three"].entries()) {
      const again = await openTwin(identity, bootstrapOf(reader), logs);
      const kept = await again.feeds.open("kept");
      expect((await kept.append(value)).seq).toBe(1 + i);
      await until(copy, ({ length }) => length === 2 + i);
      await again.close();
    }
    expect(await valuesOf(copy)).toEqual(["one", "two", "three"]);
    expect(copy.forks()).toEqual([]);
  });

  test("a writer that signs two entries for one number is proven to have forked, to everybody, for good", async () => {
    const [first, second, third] = (await circle(3)) as [Peer, Peer, Peer];
    const identity = await generateIdentity(nodeRandom);
    const options = { writers: [identity.id] };
    const copies = await Promise.all(
      [first, second, third].map((peer) => peer.feeds.open("forked", options)),
    );
    const [a, b, c] = copies as [Feed, Feed, Feed];
    const told: FeedFork[] = [];
    for (const copy of copies) {
      copy.addEventListener("fork", (event) => {
        if (event instanceof CustomEvent) told.push(event.detail as FeedFork);
      });
    }
    const one = await openTwin(identity, bootstrapOf(first));
    const feed = await one.feeds.open("forked");
    for (const value of ["same", "same too", "one way", "further"]) await feed.append(value);
    await Promise.all(copies.map((copy) => until(copy, ({ length }) => length === 4)));
    await one.close();
    // The same identity with another memory: two entries alike (but for their time, which makes the very first one differ), then others.
    const two = await openTwin(identity, []);
    const other = await two.feeds.open("forked");
    for (const value of ["same", "another way", "and on", "and on", "and on"]) await other.append(value);
    await Promise.all([two.connect(first.id, { addresses: first.listenAddresses }), linkedTo(two, 1)]);
    await Promise.all(copies.map((copy) => until(copy, () => copy.forks().length === 1)));
    expect(copies.map(({ length }) => length)).toEqual([0, 0, 0]);
    expect(told.length).toBeGreaterThanOrEqual(3);
    const [proof] = a.forks();
    expect(proof).toMatchObject({ writer: identity.id, seq: 0 });
    expect(b.forks()).toEqual(a.forks());
    expect(c.forks()).toEqual(a.forks());
    expect(await b.checkFork(proof?.proof ?? new Uint8Array(0))).toEqual(proof);
    await until(other, () => other.forks().length === 1);
    expect(await codeOf(other.append("more"))).toBe("feeds/forked");
    const newcomer = await openPeer({ ...PURE, bootstrap: bootstrapOf(first) });
    const late = await newcomer.feeds.open(a.address);
    await until(late, () => late.forks().length === 1);
    expect(late.forks()).toEqual(a.forks());
  });
});

describe("several writers", () => {
  test("all end with one order and one state, also of entries that did not know of each other", async () => {
    const peers = await circle(3);
    const writers = peers.map(({ id }) => id);
    const options = {
      writers,
      initial: "",
      apply: (text: string, { value }: { value: unknown }) =>
        typeof value === "string" ? text + value : text,
    };
    const feeds = await Promise.all(peers.map((peer) => peer.feeds.open<string>("words", options)));
    // At once, so that none knows of the others.
    await Promise.all(
      feeds.flatMap((feed, i) => Array.from({ length: 20 }, (_, k) => feed.append(`${"abc"[i] ?? ""}${k} `))),
    );
    await Promise.all(feeds.map((feed) => until(feed, ({ length }) => length === 60)));
    const [state] = feeds.map((feed) => feed.state);
    expect(feeds.map((feed) => feed.state)).toEqual([state, state, state]);
    // Who has seen all of it stands behind all of it.
    const last = await (feeds[1] as Feed<string>).append("end");
    expect(last.links.length).toBeGreaterThan(0);
    await Promise.all(feeds.map((feed) => until(feed, ({ length }) => length === 61)));
    expect(feeds.map((feed) => feed.state)).toEqual([`${state}end`, `${state}end`, `${state}end`]);
    for (const feed of feeds) expect(await valuesOf(feed)).toEqual(await valuesOf(feeds[0] as Feed<string>));
  });

  test("what the rules refuse is not appended, and who appends it nevertheless is stopped there", async () => {
    const [honest, cheat] = (await circle(2)) as [Peer, Peer];
    const definition = { writers: [honest.id, cheat.id], rules: "even/1" };
    const isEven = ({ value }: { value: unknown }): "accept" | "reject" =>
      Number(value) % 2 === 0 ? "accept" : "reject";
    const feed = await honest.feeds.open("numbers", { ...definition, validate: isEven });
    expect(await codeOf(feed.append(1))).toBe("feeds/refused");
    expect((await feed.append(2)).seq).toBe(0);
    const lax = await cheat.feeds.open("numbers", definition);
    for (const value of [4, 6, 7, 8]) await lax.append(value);
    await until(feed, ({ length }) => length === 3);
    await until(feed, () => feed.status().stopped.length === 1);
    expect(feed.status().stopped).toEqual([{ writer: cheat.id, seq: 2 }]);
    expect(new Set(await valuesOf(feed))).toEqual(new Set([2, 4, 6]));
    // It is passed on to nobody.
    const third = await openPeer({ ...PURE, bootstrap: bootstrapOf(honest) });
    await cheat.close();
    const late = await third.feeds.open(feed.address);
    await until(late, ({ length }) => length === 3);
    expect(new Set(await valuesOf(late))).toEqual(new Set([2, 4, 6]));
    expect(late.status().stopped).toEqual([]);
  });
});
