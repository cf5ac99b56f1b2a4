/** One file from many peers at once: sources that come, go, lie and hold parts, found by ticket, by record and by each other. */
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { nodeRuntime } from "../../peer/adapters/node/runtime.ts";
import { swarmAccess } from "../../peer/services/files/access.ts";
import { encodeOpening, MESSAGE, shortMessage } from "../../peer/services/files/protocol.ts";
import { fromHex } from "../../shared/bytes.ts";
import { DEFAULT_NETWORK } from "../../shared/ids.ts";
import type { Download, DownloadProgress, NodePeerOptions, Peer, Share } from "../../peer/node.ts";
import { Command, randomFile, sha256File, startEdge, temporaryFolder } from "./command.ts";
import { bootstrapOf, codeOf, linkedTo, openEdge, openPeer, readAll } from "./peers.ts";

const CHUNK = 262_144;

function open(options: NodePeerOptions = {}): Promise<Peer> {
  return openPeer({ edge: null, listen: "127.0.0.1:0", webrtc: false, ...options });
}

/** Peers that hold each other, without an edge. */
async function circle(count: number, options: NodePeerOptions = {}): Promise<Peer[]> {
  const first = await open(options);
  const others = Array.from({ length: count - 1 }, () => open({ bootstrap: bootstrapOf(first), ...options }));
  const peers = [first, ...(await Promise.all(others))];
  await Promise.all(peers.map((peer) => linkedTo(peer, count - 1)));
  return peers;
}

/** What only holders of the ticket can make. */
function accessOf({ hash }: Share) {
  const host = { runtime: nodeRuntime({ dataDir: undefined, webrtc: undefined }), network: DEFAULT_NETWORK };
  return swarmAccess(host, fromHex(hash) ?? new Uint8Array(0));
}

/** Several peers share the same file; the ticket names them all. */
async function shareByAll(peers: readonly Peer[], path: string): Promise<Share[]> {
  const shares: Share[] = [];
  for (const peer of peers) {
    const joined = shares.at(-1)?.ticket;
    shares.push(await peer.files.share(path, joined === undefined ? {} : { ticket: joined }));
  }
  return shares;
}

/** Resolves at the first progress that is so; rejects never, so race it with the download. */
function progressOf(download: Download, accept: (progress: DownloadProgress) => boolean): Promise<void> {
  return new Promise((resolve) => {
    download.addEventListener("progress", (event) => {
      if (accept((event as CustomEvent<DownloadProgress>).detail)) resolve();
    });
  });
}

describe("several sources", () => {
  test("four give to one, and the events count them", async () => {
    const folder = await temporaryFolder();
    const original = await randomFile(join(folder, "file"), 40);
    const sharers = await Promise.all([1, 2, 3, 4].map(() => open({ uploadLimit: 20_000_000 })));
    const ticket = (await shareByAll(sharers, join(folder, "file"))).at(-1)?.ticket ?? "";
    const getter = await open();
    const download = getter.files.get(ticket);
    const saved = download.saveTo(join(folder, "copy"));
    await Promise.race([progressOf(download, ({ sources }) => sources === 4), saved]);
    const result = await saved;
    expect(result).toMatchObject({ sources: 4, by: { direct: 40_000_000, relay: 0 } });
    expect(result.discarded).toBeLessThanOrEqual(0.02 * 40_000_000 + CHUNK);
    expect(await sha256File(join(folder, "copy"))).toBe(original);
  });

  test("two that close midway are done without", async () => {
    const folder = await temporaryFolder();
    const original = await randomFile(join(folder, "file"), 40);
    const sharers = await Promise.all([1, 2, 3, 4].map(() => open({ uploadLimit: 8_000_000 })));
    const ticket = (await shareByAll(sharers, join(folder, "file"))).at(-1)?.ticket ?? "";
    const getter = await open();
    const download = getter.files.get(ticket);
    const saved = download.saveTo(join(folder, "copy"));
    await Promise.race([
      progressOf(download, ({ bytes, sources }) => sources === 4 && bytes > 4_000_000),
      saved,
    ]);
    await Promise.all(sharers.slice(0, 2).map((sharer) => sharer.close()));
    expect((await saved).bytes).toBe(40_000_000);
    expect(await sha256File(join(folder, "copy"))).toBe(original);
  });

  test("one that sends wrong bytes is found at its first wrong chunk and not asked again", async () => {
    const folder = await temporaryFolder();
    const original = await randomFile(join(folder, "file"), 20);
    const spoiled = join(folder, "spoiled", "file");
    await mkdir(join(folder, "spoiled"));
    await copyFile(join(folder, "file"), spoiled);
    const honest = await Promise.all([1, 2, 3].map(() => open({ uploadLimit: 10_000_000 })));
    const liar = await open({ uploadLimit: 10_000_000 });
    // Its disk goes bad after it was shared, and the file's time does not tell.
    await utimes(spoiled, 1_700_000_000, 1_700_000_000);
    const lying = await liar.files.share(spoiled);
    await writeFile(spoiled, randomBytes((await stat(spoiled)).size));
    await utimes(spoiled, 1_700_000_000, 1_700_000_000);
    const shares = [lying];
    for (const peer of honest)
      shares.push(await peer.files.share(join(folder, "file"), { ticket: (shares.at(-1) as Share).ticket }));
    const getter = await open();
    const download = getter.files.get((shares.at(-1) as Share).ticket);
    const result = await download.saveTo(join(folder, "copy"));
    expect(result).toMatchObject({ sources: 3, bytes: 20_000_000 });
    expect(result.discarded).toBeLessThanOrEqual(2 * CHUNK);
    expect(result.discarded).toBeGreaterThan(0);
    expect(await sha256File(join(folder, "copy"))).toBe(original);
  });

  test("the same file shared apart, under another name, joins by ticket; another file does not", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "one"), "the same");
    await writeFile(join(folder, "two"), "the same");
    await writeFile(join(folder, "other"), "not this");
    const [first, second] = [await open(), await open()];
    const share = await first.files.share(join(folder, "one"));
    const joined = await second.files.share(join(folder, "two"), { ticket: share.ticket });
    expect(joined).toMatchObject({ hash: share.hash, name: "one" });
    await first.close();
    const getter = await open();
    expect(await (await getter.files.get(joined.ticket).blob()).text()).toBe("the same");
    const other = second.files.share(join(folder, "other"), { ticket: share.ticket });
    expect(await codeOf(other)).toBe("files/different");
  });
});

describe("everybody gives", () => {
  test("a downloader serves another when the sharer is gone", async () => {
    const folder = await temporaryFolder();
    const original = await randomFile(join(folder, "file"), 10);
    const sharer = await open({ uploadLimit: 20_000_000 });
    const { ticket } = await sharer.files.share(join(folder, "file"));
    const [first, second] = [await open(), await open({ downloadLimit: 3_000_000 })];
    const slow = second.files.get(ticket);
    const slowSaved = slow.saveTo(join(folder, "second"));
    await Promise.race([progressOf(slow, ({ bytes }) => bytes > 0), slowSaved]);
    const seeding = first.files.get(ticket, { seed: true });
    await seeding.saveTo(join(folder, "first"));
    await sharer.close();
    // They met through the sharer: neither's ticket names the other.
    expect((await slowSaved).sources).toBe(2);
    expect(await sha256File(join(folder, "second"))).toBe(original);
    seeding.cancel();
  });

  test("eight at once from one slow source take little more than once the file from it", async () => {
    const folder = await temporaryFolder();
    const original = await randomFile(join(folder, "file"), 4);
    const sharer = await open({ uploadLimit: 500_000 });
    const { ticket } = await sharer.files.share(join(folder, "file"));
    const getters = await Promise.all(Array.from({ length: 8 }, () => open()));
    const results = await Promise.all(
      getters.map((getter, at) => getter.files.get(ticket, { seed: true }).saveTo(join(folder, `copy${at}`))),
    );
    const seconds = Math.max(...results.map((result) => result.seconds));
    // From the source alone they would need 64 s, once the file takes 8.
    expect(seconds).toBeLessThan(40);
    for (const at of getters.keys()) expect(await sha256File(join(folder, `copy${at}`))).toBe(original);
    expect(results.filter(({ sources }) => sources > 2).length).toBeGreaterThanOrEqual(6);
  });

  test("who has no ticket is given nothing, though it knows the swarm's key and other members' proofs", async () => {
    const [first, second, third] = (await circle(3)) as [Peer, Peer, Peer];
    const share = await first.files.share(new Blob(["secret"]), { name: "s" });
    expect(await second.records.providers(share.hash)).toEqual([]);
    const access = await accessOf(share);
    const session = await second.connect(first.id);
    const answer = async (getter: Peer): Promise<Buffer> => {
      const proof = await access.proof("getter", { getter: getter.id, giver: first.id });
      const stream = await session.open("files/1");
      const opening = encodeOpening({ key: access.key, proof, gives: true, addresses: [] });
      const [bytes] = await Promise.all([
        readAll(stream),
        stream.writable.getWriter().write(shortMessage(MESSAGE.open, opening)),
      ]);
      return bytes;
    };
    expect((await answer(third)).subarray(4)).toEqual(Buffer.from("\u000cfiles/not-found"));
    await share.close();
    expect(first.files.shares()).toEqual([]);
    expect((await answer(second)).subarray(4)).toEqual(Buffer.from("\u000cfiles/not-found"));
  });
});

describe("provider records", () => {
  test("a ticket whose sharer is gone leads to who has it, with the edge dead", async () => {
    const folder = await temporaryFolder();
    const edge = await openEdge();
    const original = await randomFile(join(folder, "file"), 3);
    const peers = await Promise.all(Array.from({ length: 4 }, () => open({ edge: edge.url })));
    await Promise.all(peers.map((peer) => linkedTo(peer, 3)));
    const [sharer, keeper, getter] = peers as [Peer, Peer, Peer];
    const share = await sharer.files.share(join(folder, "file"));
    const seeding = keeper.files.get(share.ticket, { seed: true });
    await seeding.saveTo(join(folder, "kept"));
    await edge.stop();
    await sharer.close();
    const result = await getter.files.get(share.ticket).saveTo(join(folder, "copy"));
    expect(result.sources).toBe(1);
    expect(await sha256File(join(folder, "copy"))).toBe(original);
    seeding.cancel();
  });

  test("independent sharers of one file are one swarm, though each ticket names one", async () => {
    const folder = await temporaryFolder();
    await randomFile(join(folder, "file"), 30);
    const peers = await circle(4, { uploadLimit: 6_000_000 });
    const [getter, ...sharers] = peers as [Peer, Peer, Peer, Peer];
    const shares = await Promise.all(sharers.map((sharer) => sharer.files.share(join(folder, "file"))));
    expect(new Set(shares.map(({ hash }) => hash)).size).toBe(1);
    const host = {
      runtime: nodeRuntime({ dataDir: undefined, webrtc: undefined }),
      network: DEFAULT_NETWORK,
    };
    const { keyText } = await swarmAccess(host, fromHex((shares[0] as Share).hash) ?? new Uint8Array(0));
    await expect.poll(() => getter.records.providers(keyText), { timeout: 20_000 }).toHaveLength(3);
    const result = await getter.files.get((shares[0] as Share).ticket).saveTo(join(folder, "copy"));
    expect(result.sources).toBe(3);
  });
});

describe("a part of it", () => {
  test("a range as a stream and as a Blob, and a stream that begins before the end", async () => {
    const bytes = randomBytes(3_000_000);
    const giver = await open({ uploadLimit: 4_000_000 });
    const { ticket } = await giver.files.share(new Blob([bytes]), { name: "b" });
    const getter = await open();
    const get = (start: number, end?: number) =>
      getter.files.get(ticket, { range: { start, ...(end === undefined ? {} : { end }) } });
    const part = await new Response(get(1_000_000, 1_600_001).readable).arrayBuffer();
    expect(Buffer.from(part).equals(bytes.subarray(1_000_000, 1_600_001))).toBe(true);
    const blob = await get(2_999_999).blob();
    expect(Buffer.from(await blob.arrayBuffer()).equals(bytes.subarray(2_999_999))).toBe(true);
    expect((await get(5, 5).blob()).size).toBe(0);
    expect(await codeOf(get(6, 5).blob())).toBe("usage/invalid");
    const download = getter.files.get(ticket);
    let stored = 0;
    download.addEventListener("progress", (event) => {
      stored = (event as CustomEvent<DownloadProgress>).detail.bytes;
    });
    const reader = download.readable.getReader();
    const first = await reader.read();
    expect(Buffer.from(first.value ?? []).equals(bytes.subarray(0, CHUNK))).toBe(true);
    expect(stored).toBeLessThan(bytes.length);
    await reader.cancel();
  });

  test("chosen files of a folder, and nothing of the others", async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, "tree", "deep"), { recursive: true });
    const contents: Record<string, Buffer> = {};
    for (const name of ["a", "b", "deep/c", "deep/d", "e"]) {
      contents[name] = randomBytes(400_000);
      await writeFile(join(folder, "tree", name), contents[name]);
    }
    const giver = await open();
    const { ticket } = await giver.files.share(join(folder, "tree"));
    const getter = await open();
    const result = await getter.files.get(ticket, { select: ["deep", "a"] }).saveTo(join(folder, "part"));
    expect(result.bytes).toBe(1_200_000);
    const there = await readdir(join(folder, "part"), { recursive: true });
    expect(there.toSorted()).toEqual(["a", "deep", "deep/c", "deep/d"]);
    for (const name of ["a", "deep/c", "deep/d"])
      expect((await readFile(join(folder, "part", name))).equals(contents[name] as Buffer)).toBe(true);
    const again = (...select: string[]) =>
      getter.files.get(ticket, { select }).saveTo(join(folder, "got", "tree"));
    await mkdir(join(folder, "got"));
    await again("deep", "a");
    // Of its chunks some reach into files that were not chosen: they come again, and nothing is written.
    const { mtimeMs } = await stat(join(folder, "got", "tree", "a"));
    expect((await again("deep", "a")).by.direct).toBeLessThan(1_200_000);
    expect((await again("a")).bytes).toBe(400_000);
    expect(await codeOf(again("a", "e"))).toBe("files/exists");
    expect((await stat(join(folder, "got", "tree", "a"))).mtimeMs).toBe(mtimeMs);
    for (const at of [399_999, 10]) {
      const spoiled = Buffer.from(contents["deep/c"] as Buffer);
      spoiled[at] = (spoiled[at] as number) ^ 1;
      await writeFile(join(folder, "got", "tree", "deep", "c"), spoiled);
      expect(await codeOf(again("deep", "a"))).toBe("files/exists");
    }
    expect(await readdir(join(folder, "got"))).toEqual(["tree"]);
    const missing = getter.files.get(ticket, { select: ["deep/x"] }).saveTo(join(folder, "none"));
    expect(await codeOf(missing)).toBe("files/not-found");
  });
});

test("four share, one of them on Deno, and one gets, in processes of their own; one that seeds goes on after the end", async () => {
  const folder = await temporaryFolder();
  const url = await startEdge();
  const original = await randomFile(join(folder, "file"), 30);
  const words = (name: string): string[] => [
    "--edge",
    url,
    "--listen",
    "127.0.0.1:0",
    "--data",
    join(folder, name),
  ];
  const sharing: Command[] = [];
  let ticket: string | undefined;
  for (const name of ["a", "b", "c", "d"]) {
    const joined = ticket === undefined ? [] : ["--ticket", ticket];
    const share = new Command(
      ["share", join(folder, "file"), "--up-limit", "5MB", ...joined, ...words(name)],
      { runtime: name === "b" ? "deno" : "node" },
    );
    ticket = String((await share.wait("shared"))["ticket"]);
    sharing.push(share);
  }
  const getting = new Command(["get", String(ticket), "-o", join(folder, "copy"), "--seed", ...words("e")]);
  await getting.wait("progress", (event) => event["sources"] === 4);
  expect(await getting.wait("done")).toMatchObject({ sources: 4, bytes: 30_000_000 });
  expect(await sha256File(join(folder, "copy"))).toBe(original);
  await Promise.all(sharing.map((share) => share.stop()));
  const second = new Command(["get", String(ticket), "-o", join(folder, "second"), ...words("f")]);
  expect(await second.wait("done")).toMatchObject({ sources: 1 });
  expect(await sha256File(join(folder, "second"))).toBe(original);
  await getting.stop("SIGINT");
});
