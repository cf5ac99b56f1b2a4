/** Logs on disk: what is torn or changed is cut off, what is left is proved, and nothing else is ever believed. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { nodeHash } from "../../../peer/adapters/node/hash.ts";
import { folderLogs } from "../../../peer/adapters/node/logs.ts";
import { memoryStorage } from "../../../peer/adapters/memory-storage.ts";
import { storageLogs } from "../../../peer/adapters/storage-logs.ts";
import { type Identity, identityFromSeed } from "../../../peer/identity/identity.ts";
import type { LogHost } from "../../../peer/runtime.ts";
import { encodeEntry } from "../../../peer/services/feeds/entry.ts";
import { headSignedBytes, isHeadGenuine } from "../../../peer/services/feeds/head.ts";
import { type ProvedRange, proveRange } from "../../../peer/services/feeds/range.ts";
import { leafHashes } from "../../../peer/services/feeds/tree.ts";
import { WriterLog } from "../../../peer/services/feeds/writer-log.ts";
import { utf8 } from "../../../shared/bytes.ts";
import { MemoryLogs } from "./memory-logs.ts";

const ADDRESS = new Uint8Array(32).fill(9);
const NAME = "log";

async function open(logs: LogHost, identity: Identity): Promise<WriterLog> {
  const file = await logs.open(NAME);
  return WriterLog.open({ hash: nodeHash, address: ADDRESS, writer: identity.id, file });
}

/** Appends so many entries under one signature. */
async function write(
  log: WriterLog,
  identity: Identity,
  count: number,
  { text = "entry", durable = false } = {},
): Promise<void> {
  const entries: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const seq = log.length + i;
    const value = utf8(`\u0001${text} ${seq}`);
    entries.push(encodeEntry({ seq, previous: new Uint8Array(32), links: [], timeMs: seq, value }));
  }
  const leaves = await leafHashes(nodeHash, entries);
  const head = { length: log.length + count, root: await log.rootWith(leaves) };
  const signature = await identity.sign(headSignedBytes(ADDRESS, identity.id, head));
  await log.append({ head: { ...head, signature }, from: log.length, entries, leaves, right: [] }, durable);
}

/** What a log holds is what it says it holds. */
async function expectSound(log: WriterLog, identity: Identity): Promise<void> {
  if (log.length === 0) {
    expect(log.head).toBeUndefined();
    return;
  }
  const range = await log.range(Math.max(0, log.length - 5), log.length);
  expect(await proveRange(nodeHash, range)).toBeDefined();
  expect(await isHeadGenuine(ADDRESS, identity.id, range.head)).toBe(true);
  expect((await log.entry(log.length - 1))?.seq).toBe(log.length - 1);
  expect(log.timeMsOf(log.length - 1)).toBe(log.length - 1);
}

const writer = await identityFromSeed(new Uint8Array(32).fill(5));

test("a file cut at any byte holds what was whole, and goes on from there", async () => {
  const logs = new MemoryLogs();
  const log = await open(logs, writer);
  const ends: number[] = [0];
  for (const count of [1, 3, 1, 2]) {
    await write(log, writer, count);
    ends.push(logs.files.get(NAME)?.length ?? 0);
  }
  const whole = logs.files.get(NAME) as Uint8Array;
  const lengths = [0, 1, 4, 5, 7];
  for (let cut = 0; cut <= whole.length; cut++) {
    const torn = new MemoryLogs();
    torn.files.set(NAME, whole.slice(0, cut));
    const again = await open(torn, writer);
    const good = ends.findLastIndex((end) => end <= cut);
    expect(again.length).toBe(lengths[good]);
    expect(torn.files.get(NAME)?.length).toBe(ends[good]);
    if (cut % 37 !== 0) continue;
    await write(again, writer, 2);
    await expectSound(await open(torn, writer), writer);
  }
});

test("what a disk would not keep for certain is not kept", async () => {
  const logs = new MemoryLogs();
  const log = await open(logs, writer);
  await write(log, writer, 2, { durable: true });
  const kept = logs.files.get(NAME);
  logs.failingSyncs = 1;
  await expect(write(log, writer, 3, { durable: true })).rejects.toMatchObject({ code: "data/unwritable" });
  expect(log.length).toBe(2);
  expect(logs.files.get(NAME)).toEqual(kept);
});

test("one changed bit anywhere cuts the log, unless only a certificate is hit that a later one makes up for", async () => {
  const logs = new MemoryLogs();
  const log = await open(logs, writer);
  for (const count of [2, 1, 4]) await write(log, writer, count);
  const whole = logs.files.get(NAME) as Uint8Array;
  const found = new Set<number>();
  for (let at = 0; at < whole.length; at += 3) {
    const changed = new MemoryLogs();
    changed.files.set(NAME, whole.with(at, (whole[at] as number) ^ 4));
    const again = await open(changed, writer);
    found.add(again.length);
    for (let seq = 0; seq < again.length; seq++) expect(again.hashOf(seq)).toEqual(log.hashOf(seq));
    await expectSound(again, writer);
  }
  expect(found).toEqual(new Set([0, 2, 3, 7]));
});

test("another writer's log is no log", async () => {
  const logs = new MemoryLogs();
  await write(await open(logs, writer), writer, 5);
  const stranger = await identityFromSeed(new Uint8Array(32).fill(6));
  expect((await open(logs, stranger)).length).toBe(0);
});

test("part of a log proves its ranges as well as all of it, also after a restart", async () => {
  const all = await open(new MemoryLogs(), writer);
  await write(all, writer, 600);
  const logs = new MemoryLogs();
  const part = await open(logs, writer);
  for (const [from, to] of [
    [0, 256],
    [200, 300],
  ] as const) {
    const proved = (await proveRange(nodeHash, await all.range(from, to))) as ProvedRange;
    expect(part.compare(proved)).toBe("fits");
    await part.append(proved);
  }
  expect({ length: part.length, isWhole: part.isWhole }).toEqual({ length: 300, isWhole: false });
  const again = await open(logs, writer);
  for (const log of [part, again]) {
    expect(log.length).toBe(300);
    for (const [from, to] of [
      [0, 1],
      [17, 270],
      [299, 300],
    ] as const)
      expect(await proveRange(nodeHash, await log.range(from, to))).toBeDefined();
    expect(await log.contradicts(all.head as NonNullable<typeof all.head>)).toBe(false);
  }
});

test("a log tells where another parts from it", async () => {
  const [one, other] = [await open(new MemoryLogs(), writer), await open(new MemoryLogs(), writer)];
  for (const log of [one, other]) await write(log, writer, 100);
  await write(one, writer, 50, { text: "one way" });
  await write(other, writer, 60, { text: "another" });
  const at = async (from: number, to: number): Promise<unknown> =>
    one.compare((await proveRange(nodeHash, await other.range(from, to))) as ProvedRange);
  expect(await at(0, 100)).toBe("fits");
  expect(await at(90, 120)).toBe(100);
  expect(await at(100, 101)).toBe(100);
  expect(await at(101, 102)).toBe("before");
  expect(await at(150, 160)).toBe("before");
  expect(await other.contradicts(one.head as NonNullable<typeof one.head>)).toBe(true);
});

test.each([
  ["a folder", async () => folderLogs(await temporaryFolder())],
  ["a storage of values", async () => storageLogs(memoryStorage())],
])("%s keeps what was appended, in whatever pieces it is read", async (_, make) => {
  const host = await make();
  const bytes = Uint8Array.from({ length: 200_000 }, (__, i) => (i * 31) % 251);
  const file = await host.open(NAME);
  for (let at = 0, step = 1; at < bytes.length; at += step, step = step * 3 + 1)
    await file.append(bytes.slice(at, at + step));
  expect(file.bytes).toBe(bytes.length);
  await file.sync();
  await file.close();
  const again = await host.open(NAME);
  const into = new Uint8Array(70_000);
  expect(await again.read(into, 60_000)).toBe(70_000);
  expect(into).toEqual(bytes.slice(60_000, 130_000));
  expect(await again.read(into, 190_000)).toBe(10_000);
  await again.truncate(65_536 + 10);
  await again.append(Uint8Array.of(1, 2, 3));
  expect(await again.read(into, 65_536)).toBe(13);
  expect([...into.slice(9, 13)]).toEqual([bytes[65_545], 1, 2, 3]);
  await again.close();
  await expect(host.open("../x")).rejects.toMatchObject({ code: "usage/invalid" });
  const log = await open(host, writer);
  await write(log, writer, 3);
  await log.close();
  await expectSound(await open(host, writer), writer);
});

test("a log that nothing was appended to leaves no file behind", async () => {
  const folder = await temporaryFolder();
  const file = await folderLogs(folder).open(NAME);
  expect([file.bytes, await file.read(new Uint8Array(9), 0)]).toEqual([0, 0]);
  await file.truncate(0);
  await file.sync();
  await file.close();
  expect(await readdir(folder)).toEqual([]);
});

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "peerloom-unit-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
