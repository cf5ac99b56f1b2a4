/** Neighbours that lie, keep silent or talk nonsense, disks that fail, and many peers at once: the feed comes through. */
import { expect, test } from "vitest";
import type { LogFile } from "../../../peer/runtime.ts";
import type { Stream } from "../../../peer/session/contract.ts";
import { encodeDefinition, makeDefinition } from "../../../peer/services/feeds/definition.ts";
import type { Feed } from "../../../peer/services/feeds/feed.ts";
import { encodeForkProof } from "../../../peer/services/feeds/fork.ts";
import {
  decodeMessage,
  encodeMessage,
  type FeedMessage,
  type HeadNotice,
  MESSAGE_BYTES_MAX,
} from "../../../peer/services/feeds/protocol.ts";
import type { Range } from "../../../peer/services/feeds/range.ts";
import { MessageReader } from "../../../peer/services/files/protocol.ts";
import { concatBytes, fromHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { MemoryLogs } from "../../unit/feeds/memory-logs.ts";
import { FeedWorld } from "./world.ts";

/** More than one neighbour is asked for at one time. */
const ENTRIES = 4_000;

const FEW = 300;

interface Scene {
  readonly world: FeedWorld;
  readonly feed: Feed;
  /** What an honest peer says it has, and one genuine entry. */
  readonly notice: HeadNotice;
  readonly range: Range;
}

type Say = (...messages: readonly FeedMessage[]) => Promise<void>;
/** What a hostile peer says when it is greeted, and to each message afterwards. */
type Hostility = (message: FeedMessage, say: Say, scene: Scene, stream: Stream) => Promise<void>;

async function scene(seed: number, entries = ENTRIES): Promise<Scene> {
  const world = new FeedWorld(seed);
  const writer = world.add(await world.identity("writer"), "writer");
  const feed = await world.clock.runUntil(writer.feeds.open("hostile"), 60_000);
  await world.clock.runUntil(
    Promise.all(Array.from({ length: entries }, (_, i) => feed.append(`entry ${i}`))),
    60_000,
  );
  const told = await world.clock.runUntil(listen(world), 60_000);
  return { world, feed, ...told };
}

/** Asks the writer as any peer would. */
async function listen(world: FeedWorld): Promise<Pick<Scene, "notice" | "range">> {
  const asker = world.add(await world.identity("asker"), "asker");
  const writer = world.peers[0]?.identity.id;
  if (writer === undefined) throw new Error("no writer");
  const stream = await world.connect(asker, writer).open("feed/1");
  const out = stream.writable.getWriter();
  const address = world.peers[0]?.feeds.addresses()[0] ?? "";
  await out.write(encodeMessage({ kind: "open", address: fromHex(address) ?? new Uint8Array(0) }));
  const reader = new MessageReader(stream.readable, MESSAGE_BYTES_MAX);
  let notice: HeadNotice | undefined;
  for (let read = await reader.next(); read !== undefined; read = await reader.next()) {
    const message = decodeMessage(read.type, read.body);
    if (message.kind === "heads") {
      [notice] = message.heads;
      await out.write(encodeMessage({ kind: "want", request: 1, writer: 0, from: 0, count: 1 }));
    }
    if (message.kind !== "range" || notice === undefined) continue;
    stream.reset();
    world.peers.splice(world.peers.indexOf(asker), 1);
    return { notice, range: message.range };
  }
  throw new Error("nothing was told");
}

async function check(
  seed: number,
  hostility: Hostility,
  expected: { readonly blamed: number },
): Promise<void> {
  const given = await scene(seed);
  const { world, feed } = given;
  try {
    const hostile = world.add(await world.identity("hostile"), "hostile");
    const definition = makeDefinition("hostile", feed.writers, "");
    hostile.handler = async (stream) => {
      const out = stream.writable.getWriter();
      const say: Say = (...messages) => out.write(concatBytes(...messages.map(encodeMessage)));
      const reader = new MessageReader(stream.readable, MESSAGE_BYTES_MAX);
      try {
        for (let read = await reader.next(); read !== undefined; read = await reader.next()) {
          const message = decodeMessage(read.type, read.body);
          if (message.kind === "open") await say({ kind: "definition", bytes: encodeDefinition(definition) });
          await hostility(message, say, given, stream);
        }
      } catch (error) {
        if (!(error instanceof PeerloomError)) throw error; // It was dropped.
      }
    };
    const newcomer = world.add(await world.identity("newcomer"), "newcomer");
    const copy = await world.clock.runUntil(newcomer.feeds.open(feed.address), 60_000);
    await world.clock.advance(40_000);
    expect(copy.heads()).toEqual(feed.heads());
    expect(copy.length).toBe(ENTRIES);
    expect(copy.forks()).toEqual([]);
    expect(copy.status().blamed).toBe(expected.blamed);
  } finally {
    await world.close();
  }
}

/** Has everything, as it says. */
const greet: Hostility = async (message, say, { notice }) => {
  if (message.kind === "open") await say({ kind: "heads", heads: [notice] });
};

test("one that never answers is given up, and what it was asked for comes from others", () =>
  check(1, greet, { blamed: 0 }));

test("one that has nothing after all is no liar", () =>
  check(
    2,
    async (message, say, given, stream) => {
      await greet(message, say, given, stream);
      if (message.kind === "want") await say({ kind: "missing", request: message.request });
    },
    { blamed: 0 },
  ));

test("a genuine range of another place is a lie", () =>
  check(
    3,
    async (message, say, given, stream) => {
      await greet(message, say, given, stream);
      if (message.kind !== "want") return;
      const from = message.from === 0 ? 1 : message.from;
      await say({ kind: "range", request: message.request, range: { ...given.range, from } });
    },
    { blamed: 1 },
  ));

test("a head that nobody signed is a lie", () =>
  check(
    4,
    async (message, say, { notice }) => {
      const head = { ...notice.head, length: notice.head.length + 1 };
      if (message.kind === "open") await say({ kind: "heads", heads: [{ ...notice, head }] });
    },
    { blamed: 1 },
  ));

test("a head of a writer that the feed does not have is a lie", () =>
  check(
    5,
    async (message, say, { notice }) => {
      if (message.kind === "open") await say({ kind: "heads", heads: [{ ...notice, writer: 7 }] });
    },
    { blamed: 1 },
  ));

test("a proof that proves nothing is a lie, and cuts nobody", () =>
  check(
    6,
    async (message, say, { range }) => {
      const proof = encodeForkProof({ writer: 0, seq: 0, branches: [range, range] });
      if (message.kind === "open") await say({ kind: "fork", proof });
    },
    { blamed: 1 },
  ));

test("answers to nothing are a lie", () =>
  check(
    7,
    async (message, say, { range }) => {
      if (message.kind === "open") await say({ kind: "range", request: 99, range });
    },
    { blamed: 1 },
  ));

test("one that asks without end is dropped", () =>
  check(
    8,
    async (message, say) => {
      if (message.kind !== "heads" || !message.heads.some(({ have }) => have >= 256)) return;
      const wants = Array.from({ length: 100 }, (_, request) => ({
        ...({ kind: "want", writer: 0, from: 0, count: 256 } as const),
        request,
      }));
      await say(...wants);
    },
    { blamed: 1 },
  ));

test("a disk that fails stops the copy, which goes on giving what it has", async () => {
  const { world, feed } = await scene(9);
  try {
    class FullDisk extends MemoryLogs {
      override async open(name: string): Promise<LogFile> {
        const file = await super.open(name);
        const append = (bytes: Uint8Array): Promise<void> =>
          file.bytes > 20_000
            ? Promise.reject(new PeerloomError("data/unwritable", "The disk is full."))
            : file.append(bytes);
        return {
          get bytes() {
            return file.bytes;
          },
          append,
          read: (into, offset) => file.read(into, offset),
          truncate: (bytes) => file.truncate(bytes),
          sync: () => file.sync(),
          close: () => file.close(),
        };
      }
    }
    const copier = world.add(await world.identity("copier"), "copier", new FullDisk());
    const copy = await world.clock.runUntil(copier.feeds.open(feed.address), 60_000);
    await world.clock.advance(30_000);
    expect(copy.status()).toMatchObject({ failure: "data/unwritable", blamed: 0 });
    expect(copy.length).toBeGreaterThan(0);
    expect(copy.length).toBeLessThan(ENTRIES);
    const newcomer = world.add(await world.identity("newcomer"), "newcomer");
    const late = await world.clock.runUntil(newcomer.feeds.open(feed.address), 60_000);
    await world.clock.advance(30_000);
    expect(late.length).toBe(ENTRIES);
  } finally {
    await world.close();
  }
});

test("thirty peers have a feed with no more neighbours than they may have, and hear of what is new within a second", async () => {
  const { world, feed } = await scene(10, FEW);
  try {
    const feeds: Feed[] = [feed];
    for (let i = 0; i < 30; i++) {
      const peer = world.add(await world.identity(`peer ${i}`), `peer ${i}`);
      feeds.push(await world.clock.runUntil(peer.feeds.open(feed.address), 60_000));
    }
    await world.clock.advance(120_000);
    for (const each of feeds) {
      expect(each.length).toBe(FEW);
      expect(each.status().neighbours.length).toBeGreaterThanOrEqual(6);
      expect(each.status().neighbours.length).toBeLessThanOrEqual(16);
      expect(each.status().blamed).toBe(0);
    }
    await world.clock.runUntil(feed.append("news"), 60_000);
    await world.clock.advance(1_000);
    for (const each of feeds) expect(each.length).toBe(FEW + 1);
  } finally {
    await world.close();
  }
});
