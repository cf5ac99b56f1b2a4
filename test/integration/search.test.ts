/** Search in a network of real peers: one file found four ways, with the edge and without, and what is unlisted by none. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Peer, SearchHit, SearchOptions, Stream } from "../../peer/node.ts";
import { encodeMessage, SEARCH_PROTOCOL } from "../../peer/services/search/protocol.ts";
import { Command, type Event, finish, startEdge, temporaryFolder } from "./command.ts";
import { bootstrapOf, codeOf, linkedTo, openEdge, openPeer } from "./peers.ts";

/** The longest that something said is waited for until others know it. */
const KNOWN_TIMEOUT_MS = 20_000;

async function all(peer: Peer, text: string, options: SearchOptions = {}): Promise<SearchHit[]> {
  const hits: SearchHit[] = [];
  for await (const hit of peer.search(text, options)) hits.push(hit);
  return hits;
}

/** Searches until it is as expected: what is shared, or withdrawn, gets about in its own time. */
async function until(
  peer: Peer,
  text: string,
  options: SearchOptions,
  accept: (hits: readonly SearchHit[]) => boolean,
): Promise<SearchHit[]> {
  const deadline = Date.now() + KNOWN_TIMEOUT_MS;
  for (;;) {
    const hits = await all(peer, text, options);
    if (accept(hits)) return hits;
    if (Date.now() > deadline) throw new Error(`"${text}" by ${options.via}: ${JSON.stringify(hits)}`);
  }
}

const some = (hits: readonly SearchHit[]): boolean => hits.length > 0;
const none = (hits: readonly SearchHit[]): boolean => hits.length === 0;

test(
  "the index finds it; with the edge gone the overlay and the neighbours do; a hit leads to equal bytes",
  { timeout: 180_000 },
  async () => {
    const edge = await openEdge();
    const options = { edge: edge.url, listen: "127.0.0.1:0", webrtc: false } as const;
    const peers: Peer[] = [];
    for (let i = 0; i < 5; i++) peers.push(await openPeer(options));
    const [sharer, second, searcher] = peers as [Peer, Peer, Peer];
    await Promise.all(peers.map((peer) => linkedTo(peer, 4)));
    const folder = await temporaryFolder();
    const content = randomBytes(700_000);
    const path = join(folder, "Cat_Video (2024).mp4");
    await writeFile(path, content);
    await mkdir(join(folder, "holiday"));
    await writeFile(join(folder, "holiday", "beach sunset.jpg"), "x");
    await writeFile(join(folder, "secret diary.txt"), "nobody finds this");
    const share = await sharer.files.share(path);
    await sharer.files.share(join(folder, "holiday"));
    await sharer.files.share(join(folder, "secret diary.txt"), { listed: false });

    const found = await until(searcher, "video CAT", { via: "index" }, some);
    expect(found).toMatchObject([
      { name: "Cat_Video (2024).mp4", bytes: 700_000, hash: share.hash, via: "index", sources: 1 },
    ]);
    expect(await all(searcher, "cat video", { via: "auto" })).toMatchObject([{ hash: share.hash }]);
    // Two that have the same are one hit with two sources.
    await second.files.share(path);
    const twice = await until(searcher, "cat", { via: "index" }, ([hit]) => hit?.sources === 2);
    expect(twice).toHaveLength(1);

    await edge.stop();
    for (const via of ["dht", "flood", "auto"] as const) {
      const [hit] = await until(searcher, "cat 2024", { via }, ([first]) => first?.sources === 2);
      expect(hit).toMatchObject({ hash: share.hash, via: via === "auto" ? "flood" : via });
      const copy = join(folder, `copy-${via}`);
      await searcher.files.get(hit?.ticket ?? "").saveTo(copy);
      expect(content.equals(await readFile(copy))).toBe(true);
      expect(await until(searcher, "sunset", { via }, some)).toMatchObject([{ name: "holiday" }]);
      expect(await all(searcher, "cat dog", { via, timeoutMs: 3_000 })).toEqual([]);
    }
    expect(await codeOf(all(searcher, "cat", { via: "index" }))).toBe("edge/unreachable");
    for (const via of ["dht", "flood", "auto"] as const)
      expect(await all(searcher, "secret diary", { via, timeoutMs: 3_000 })).toEqual([]);

    // What is shared no more is found no more.
    await share.close();
    await until(searcher, "cat", { via: "flood" }, ([hit]) => hit?.sources === 1);
    await second.close();
    await until(searcher, "cat", { via: "flood", timeoutMs: 3_000 }, none);
    expect(await all(searcher, "cat", { via: "dht", timeoutMs: 5_000 })).toEqual([]);
  },
);

test(
  "what is unlisted, and what is not there any more, is not in the index",
  { timeout: 60_000 },
  async () => {
    const edge = await openEdge();
    const sharer = await openPeer({ edge: edge.url, webrtc: false });
    const searcher = await openPeer({ edge: edge.url, webrtc: false });
    await sharer.files.share(new Blob(["a"]), { name: "hidden thing.txt", listed: false });
    await sharer.files.share(new Blob(["b"]), { name: "open thing.txt" });
    expect(await until(searcher, "thing", { via: "index" }, some)).toMatchObject([
      { name: "open thing.txt" },
    ]);
    const answer = await (await fetch(`${edge.url}/v1/net/main/search?q=thing`)).text();
    expect(answer).not.toContain("hidden");
    await sharer.close();
    expect(await all(searcher, "thing", { via: "index" })).toEqual([]);
  },
);

test("the cheapest that answers is the last that is asked", { timeout: 60_000 }, async () => {
  const edge = await openEdge();
  const options = { edge: edge.url, listen: "127.0.0.1:0", webrtc: false } as const;
  const [sharer, searcher] = [await openPeer(options), await openPeer(options)];
  await linkedTo(searcher, 1);
  await sharer.files.share(new Blob(["a"]), { name: "cheap thing" });
  await until(searcher, "cheap", { via: "index" }, some);
  await until(searcher, "cheap", { via: "dht" }, some);
  // It is there as a neighbour's digest, in the index and in the overlay; the last is not asked any more.
  let asked = 0;
  const providers = searcher.records.providers.bind(searcher.records);
  searcher.records.providers = (...query) => {
    asked += 1;
    return providers(...query);
  };
  expect(await all(searcher, "cheap", { via: "auto" })).toMatchObject([{ name: "cheap thing" }]);
  expect(asked).toBe(0);
  expect(await all(searcher, "cheap nothing", { via: "auto", timeoutMs: 3_000 })).toEqual([]);
  expect(asked).toBe(2);
});

test("an edge that comes back is told again", { timeout: 60_000 }, async () => {
  const first = await openEdge();
  const port = Number(new URL(first.url).port);
  const sharer = await openPeer({ edge: first.url, webrtc: false });
  await sharer.files.share(new Blob(["a"]), { name: "lasting thing" });
  await until(sharer, "lasting", { via: "index" }, some);
  await first.stop();
  const second = await openEdge(port);
  const searcher = await openPeer({ edge: second.url, webrtc: false });
  await until(searcher, "lasting", { via: "index" }, some);
});

describe("without any edge", () => {
  test(
    "what one lists the others find by the overlay and by their neighbours, and a newcomer too",
    { timeout: 60_000 },
    async () => {
      const options = { edge: null, listen: "127.0.0.1:0", webrtc: false } as const;
      const first = await openPeer(options);
      const others = await Promise.all(
        Array.from({ length: 5 }, () => openPeer({ ...options, bootstrap: bootstrapOf(first) })),
      );
      await Promise.all([first, ...others].map((peer) => linkedTo(peer, 5)));
      const [a, b] = others as [Peer, Peer];
      await a.files.share(new Blob(["x"]), { name: "Ünïcode Straße.txt" });
      for (const via of ["dht", "flood"] as const)
        expect(await until(b, "STRASSE ÜNÏCODE", { via }, some)).toMatchObject([{ via, sources: 1 }]);
      // A newcomer is told by its neighbours what they have.
      const late = await openPeer({ ...options, bootstrap: bootstrapOf(b) });
      await linkedTo(late, 6);
      await until(late, "strasse", { via: "auto" }, some);
      expect(await all(a, "strasse", { via: "auto" })).toMatchObject([{ via: "own" }]);
    },
  );

  test("wrong use has a name, stopping stops, and an end in the middle leaves nothing", async () => {
    const alone = await openPeer({ edge: null, webrtc: false });
    const out = await openPeer({ edge: null, overlay: false, webrtc: false });
    expect(await codeOf(all(alone, "..."))).toBe("usage/invalid");
    expect(await codeOf(all(alone, "x", { limit: 0 }))).toBe("usage/invalid");
    expect(await codeOf(all(alone, "x", { timeoutMs: 0 }))).toBe("usage/invalid");
    expect(await codeOf(all(alone, "x", { via: "index" }))).toBe("search/unavailable");
    expect(await codeOf(all(out, "x", { via: "dht" }))).toBe("search/unavailable");
    expect(await codeOf(all(out, "x", { via: "flood" }))).toBe("search/unavailable");
    expect(await all(out, "x")).toEqual([]);
    expect(await all(alone, "x", { via: "flood" })).toEqual([]);
    expect(await codeOf(all(alone, "x", { signal: AbortSignal.abort() }))).toBe("aborted");
    for (let i = 0; i < 3; i++) await alone.files.share(new Blob([`${i}`]), { name: `same ${i}` });
    expect(await all(alone, "same", { limit: 2 })).toHaveLength(2);
    for await (const hit of alone.search("same")) {
      expect(hit.via).toBe("own");
      break;
    }
    await alone.close();
    expect(await codeOf(all(alone, "x"))).toBe("peer/closed");
  });
});

test("what liars and the silent answer spoils nothing", { timeout: 120_000 }, async () => {
  const options = { edge: null, listen: "127.0.0.1:0", webrtc: false } as const;
  const honest = await openPeer(options);
  const join = (): Promise<Peer> => openPeer({ ...options, bootstrap: bootstrapOf(honest) });
  const [searcher, ...liars] = (await Promise.all(Array.from({ length: 7 }, join))) as [Peer, ...Peer[]];
  await Promise.all([honest, searcher, ...liars].map((peer) => linkedTo(peer, 7)));
  await honest.files.share(new Blob(["true"]), { name: "wanted thing" });
  // All of them are asked: they say that they have it.
  for (const liar of liars) await liar.files.share(new Blob([liar.id]), { name: "wanted other" });
  await until(searcher, "wanted", { via: "dht" }, (hits) => hits.length === 7);
  await until(searcher, "wanted", { via: "flood" }, (hits) => hits.length === 7);

  const hits = (count: number): Uint8Array =>
    encodeMessage({ kind: "hits", tickets: Array.from({ length: count }, () => "peerloom:get/AAAA") });
  const say = async (stream: Stream, ...parts: Uint8Array[]): Promise<void> => {
    const writer = stream.writable.getWriter();
    for (const part of parts) await writer.write(part);
    await writer.close();
  };
  const end = encodeMessage({ kind: "end", touched: 0 });
  const answers: ((stream: Stream) => Promise<void>)[] = [
    (stream) => stream.closed, // Never a word.
    (stream) => say(stream, randomBytes(5_000)),
    (stream) => say(stream, ...Array.from({ length: 30 }, () => hits(8)), end),
    (stream) => say(stream, ...Array.from({ length: 3 }, () => hits(8)), end), // As many as it was asked for.
    (stream) => say(stream, hits(8)), // No end.
    () => Promise.reject(new Error("refused")),
  ];
  liars.forEach((liar, index) => liar.handle(SEARCH_PROTOCOL, (stream) => answers[index]?.(stream)));
  for (const via of ["dht", "flood", "auto"] as const)
    expect(await all(searcher, "wanted", { via }), via).toMatchObject([{ name: "wanted thing" }]);

  // Nor does what they ask, or send as digests.
  const session = await (liars[0] as Peer).connect(searcher.id);
  const full = encodeMessage({ kind: "digest", bytes: new Uint8Array(2_048).fill(0xff) });
  for (const bytes of [full, end, hits(1), randomBytes(3_000), new Uint8Array(0)]) {
    const stream = await session.open(SEARCH_PROTOCOL);
    await say(stream, bytes).catch(() => {}); // It may be reset while we speak.
    await stream.closed;
  }
  expect(await all(searcher, "wanted", { via: "flood" })).toMatchObject([{ name: "wanted thing" }]);
});

test("share and search in processes of their own, Node and Deno", { timeout: 120_000 }, async () => {
  const url = await startEdge();
  const folder = await temporaryFolder();
  const content = randomBytes(100_000);
  await writeFile(join(folder, "cat video.mp4"), content);
  await writeFile(join(folder, "private cat.mp4"), content);
  const where = ["--edge", url, "--no-lan"];
  const share = async (...words: string[]): Promise<Command> => {
    const command = new Command(
      ["share", ...words, ...where, "--listen", "127.0.0.1:0", "--data", await temporaryFolder()],
      {
        folder,
      },
    );
    await command.wait("shared");
    return command;
  };
  const sharing = await share("cat video.mp4");
  await share("private cat.mp4", "--unlisted");
  const { hash, ticket } = await sharing.wait("shared");
  for (const [via, runtime] of [
    ["index", "node"],
    ["auto", "deno"],
    ["dht", "node"],
    ["flood", "node"],
  ] as const) {
    const data = await temporaryFolder();
    const found = await finish(["search", "Cat", "--via", via, ...where, "--data", data], { runtime });
    expect(found.code, found.stderr).toBe(0);
    const hits = found.events.filter(({ event }) => event === "hit");
    expect(hits, via).toMatchObject([
      { name: "cat video.mp4", bytes: 100_000, hash, ticket: expect.any(String) as string, sources: 1 },
    ]);
    expect(found.events.at(-1)).toEqual({ event: "done", hits: 1 });
    expect(Object.keys(hits[0] ?? {})).toEqual([
      "event",
      "name",
      "bytes",
      "hash",
      "ticket",
      "via",
      "sources",
    ]);
    if (via === "index") expect(hits[0]?.["ticket"]).toBe(ticket);
  }
  const nothing = await finish([
    "search",
    "dog",
    "--via",
    "index",
    ...where,
    "--data",
    await temporaryFolder(),
  ]);
  expect([nothing.code, nothing.events.at(-1)]).toEqual([0, { event: "done", hits: 0 }]);
  const wrong = await finish(["search", "dog", "--via", "phone", "--data", await temporaryFolder()]);
  expect(wrong.code).toBe(2);
});

test(
  "with the edge dead, dht and flood find it from a process that begins then",
  { timeout: 120_000 },
  async () => {
    const edge = new Command(["edge", "dev", "--port", "0"]);
    const url = String((await edge.wait("ready"))["url"]);
    const where = ["--edge", url, "--no-lan", "--listen", "127.0.0.1:0"];
    const folder = await temporaryFolder();
    await writeFile(join(folder, "cat video.mp4"), randomBytes(100_000));
    const start = async (...words: string[]): Promise<Command> =>
      new Command([...words, ...where, "--data", await temporaryFolder()], { folder });
    const up = await start("up");
    const { id, listen } = await up.wait("ready");
    const sharing = await start("share", "cat video.mp4");
    const { hash } = await sharing.wait("shared");
    await up.wait("peer");
    await edge.stop("SIGKILL");
    const [address] = listen as string[];
    const search = async (via: string): Promise<Event[]> => {
      const words = ["search", "Cat", "--via", via, "--bootstrap", `${address}/${String(id)}`];
      const data = await temporaryFolder();
      const { events } = await finish([...words, "--edge", "none", "--no-lan", "--data", data]);
      return events.filter(({ event }) => event === "hit");
    };
    for (const via of ["dht", "flood"]) {
      // What is shared gets about in its own time.
      await expect
        .poll(() => search(via), { timeout: 40_000 })
        .toMatchObject([{ name: "cat video.mp4", bytes: 100_000, hash, via, sources: 1 }]);
    }
  },
);
