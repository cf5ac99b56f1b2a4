/** Peers that meet through a real edge: on which paths, how their streams behave, and what they say when it fails. */
import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type EmbeddedEdge, startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import type { NodePeerOptions, PathInfo, Session, Stream } from "../../peer/node.ts";
import type { Log } from "../../peer/runtime.ts";
import { temporaryFolder } from "./command.ts";
import { checkEcho, codeOf, freePort, openPeer, openPeerOn, pathOf, readAll } from "./peers.ts";

let edge: EmbeddedEdge;
let networks = 0;
beforeAll(async () => {
  edge = await startEmbeddedEdge({ host: "127.0.0.1", port: 0 });
});
afterAll(() => edge.stop());

/** Two peers in a network of their own, and the session of the first with the second. */
async function pair(
  options: NodePeerOptions = {},
  first: NodePeerOptions = {},
  second: NodePeerOptions = {},
) {
  const common = { edge: edge.url, network: `peers-${networks++}`, ...options };
  const a = await openPeer({ ...common, ...first });
  const b = await openPeer({ ...common, ...second });
  const session = await a.connect(b.id);
  expect(session.peerId).toBe(b.id);
  return { a, b, session };
}

describe("a session begins on the path that is allowed", () => {
  test.each<{ readonly name: string; readonly options: NodePeerOptions; readonly transport: string }>([
    { name: "relay only", options: { only: "relay" }, transport: "relay" },
    { name: "direct only, TCP", options: { only: "direct", listen: "127.0.0.1:0" }, transport: "tcp" },
    { name: "direct only, WebRTC", options: { only: "direct" }, transport: "webrtc" },
  ])("$name", async ({ options, transport }) => {
    const { b, session } = await pair(options);
    expect(session.path).toMatchObject({ transport, kind: transport === "relay" ? "relay" : "direct" });
    await checkEcho(session, randomBytes(10_000_000));
    expect(session.path.transport).toBe(transport);
    const by = session.bytesReceived;
    expect(transport === "relay" ? by.direct : by.relay).toBe(0);
    expect(b.sessions()).toHaveLength(1);
    expect(b.listenAddresses).toHaveLength(transport === "tcp" ? 1 : 0);
  });
});

test("a session is told of, on both sides, once it has a path", async () => {
  const common = { edge: edge.url, network: `peers-${networks++}`, listen: "127.0.0.1:0" };
  const both = [await openPeer(common), await openPeer(common)] as const;
  const told: string[][] = both.map((peer) => {
    const kinds: string[] = [];
    peer.addEventListener("session", (event) => kinds.push((event as CustomEvent<Session>).detail.path.kind));
    return kinds;
  });
  await checkEcho(await both[0].connect(both[1].id), randomBytes(1_000));
  for (const kinds of told) {
    expect(kinds.length).toBeGreaterThan(0);
    expect(kinds).not.toContain("none");
  }
});

describe("a session moves to the better path by itself", () => {
  test("from the relay to WebRTC when nobody listens", async () => {
    const { session } = await pair({ overlay: false });
    expect(session.path.transport).toBe("relay");
    const seen: string[] = [];
    session.addEventListener("path", (event) => {
      seen.push((event as CustomEvent<PathInfo>).detail.transport);
    });
    await pathOf(session, (path) => path.transport === "webrtc");
    expect(seen.at(-1)).toBe("webrtc");
    await checkEcho(session, randomBytes(10_000_000));
  });

  test.each([
    { name: "the one who is called", first: {}, second: { listen: "127.0.0.1:0" } },
    { name: "the one who calls", first: { listen: "127.0.0.1:0" }, second: {} },
  ])("to TCP when one listens: $name", async ({ first, second }) => {
    const { b, session } = await pair({}, first, second);
    await pathOf(session, (path) => path.transport === "tcp");
    await checkEcho(session, randomBytes(10_000_000));
    expect(b.sessions()[0]?.path.kind).toBe("direct");
  });
});

describe("failures have names and come in time", () => {
  test("an id that nobody has", async () => {
    const peer = await openPeer({ edge: edge.url });
    const began = performance.now();
    const code = await codeOf(peer.connect(`${"a".repeat(51)}q`));
    expect(["peer/not-found", "connect/no-path"]).toContain(code);
    expect(performance.now() - began).toBeLessThan(3_000);
  });

  test("a text that is no id, one's own id, and a peer that is closed", async () => {
    const peer = await openPeer({ edge: edge.url });
    expect(await codeOf(peer.connect("nonsense"))).toBe("id/invalid");
    expect(await codeOf(peer.connect(peer.id))).toBe("connect/self");
    await peer.close();
    expect(await codeOf(peer.connect(`${"a".repeat(51)}q`))).toBe("peer/closed");
  });

  test("peers of other networks do not find each other", async () => {
    const a = await openPeer({ edge: edge.url, network: "one" });
    const b = await openPeer({ edge: edge.url, network: "other" });
    expect(await codeOf(a.connect(b.id))).toBe("peer/not-found");
  });

  test("an edge that is not there", async () => {
    const began = performance.now();
    const url = `http://127.0.0.1:${await freePort()}`;
    expect(await codeOf(openPeer({ edge: url }))).toBe("edge/unreachable");
    expect(performance.now() - began).toBeLessThan(12_000);
  });

  test("no edge and no address", async () => {
    const a = await openPeer({ edge: null });
    const b = await openPeer({ edge: null, listen: "127.0.0.1:0" });
    expect(await codeOf(a.connect(b.id))).toBe("connect/no-path");
    const session = await a.connect(b.id, { addresses: b.listenAddresses });
    await checkEcho(session, randomBytes(1000));
  });

  test("one who gives up", async () => {
    const peer = await openPeer({ edge: edge.url });
    const signal = AbortSignal.abort();
    expect(await codeOf(peer.connect(`${"a".repeat(51)}q`, { signal }))).not.toBe("none");
  });
});

test("a closed peer leaves no session behind", async () => {
  const { a, b, session } = await pair();
  await checkEcho(session, randomBytes(1000));
  const stream = await session.open("ping/1");
  const over = codeOf(readAll(stream));
  const noticed = new Promise((resolve) => b.sessions()[0]?.addEventListener("close", resolve));
  await a.close();
  await noticed;
  expect(a.sessions()).toEqual([]);
  expect(b.sessions()).toEqual([]);
  expect(session.closed).toBe(true);
  expect(await over).toMatch(/^(session|peer)\/closed$/);
  expect(await codeOf(session.open("ping/1"))).toBe("session/closed");
});

test("a peer that comes again with the same identity replaces its session, and nobody tends the old one", async () => {
  const ended = Promise.withResolvers<void>();
  const log: Log = {
    debug: (event) => {
      if (event === "improve session ended") ended.resolve();
    },
    warn: () => {},
  };
  const a = await openPeerOn(() => ({ log }), { edge: edge.url });
  const dataDir = await temporaryFolder();
  const first = await openPeer({ edge: edge.url, dataDir, webrtc: false });
  const session = await a.connect(first.id);
  const over = new Promise<string>((resolve) => {
    session.addEventListener("close", (event) => resolve((event as CustomEvent<string>).detail));
  });
  const second = await openPeer({ edge: edge.url, dataDir, webrtc: false });
  await checkEcho(await second.connect(a.id), randomBytes(1000));
  expect(await over).toBe("session/replaced");
  expect(a.sessions()).toHaveLength(1);
  await ended.promise;
  await checkEcho(a.sessions()[0] as Session, randomBytes(1000));
});

describe("streams", () => {
  /** A session on a direct path, and what the other side's handler was given. */
  async function opened(protocol: string) {
    const { a, b, session } = await pair({ listen: "127.0.0.1:0", only: "direct" });
    const incoming = Promise.withResolvers<Stream>();
    b.handle(protocol, async (stream) => {
      incoming.resolve(stream);
      await stream.closed;
    });
    const ours = await session.open(protocol);
    return { a, b, session, ours, incoming: incoming.promise };
  }

  test("half closed, the other half goes on", async () => {
    const { ours, incoming } = await opened("half/1");
    const writer = ours.writable.getWriter();
    await writer.write(Buffer.from("question"));
    await writer.close();
    const theirs = await incoming;
    expect(String(await readAll(theirs))).toBe("question");
    const answer = theirs.writable.getWriter();
    await answer.write(Buffer.from("answer after the end"));
    await answer.close();
    expect(String(await readAll(ours))).toBe("answer after the end");
    await Promise.all([ours.closed, theirs.closed]);
  });

  test("a reset carries its code", async () => {
    const { ours, incoming } = await opened("reset/1");
    await ours.writable.getWriter().write(new Uint8Array(1));
    const theirs = await incoming;
    const seen = codeOf(readAll(ours));
    theirs.reset("files/changed");
    expect(await seen).toBe("files/changed");
    await ours.closed;
  });

  test("a protocol that nobody answers", async () => {
    const { session } = await opened("some/1");
    const stream = await session.open("unknown/1");
    expect(await codeOf(readAll(stream))).toBe("stream/no-handler");
    await checkEcho(session, randomBytes(1000));
  });

  test("200 at once", async () => {
    const { session } = await opened("many/1");
    await Promise.all(Array.from({ length: 200 }, () => checkEcho(session, randomBytes(20_000))));
  });

  test.each(["relay", "direct"] as const)("a slow reader stops the writer, %s", async (only) => {
    const { b, session } = await pair({ only, listen: "127.0.0.1:0" });
    const incoming = Promise.withResolvers<Stream>();
    b.handle("slow/1", async (stream) => {
      incoming.resolve(stream);
      await stream.closed;
    });
    const stream = await session.open("slow/1");
    const writer = stream.writable.getWriter();
    const block = randomBytes(100_000);
    const hash = createHash("sha256");
    let written = 0;
    const writing = (async () => {
      for (let i = 0; i < 200; i++) {
        await writer.write(block);
        hash.update(block);
        written += block.length;
      }
      await writer.close();
    })();
    const theirs = await incoming.promise;
    // Pings go both ways meanwhile, so whatever could still move has moved.
    for (let i = 0; i < 20; i++) await checkEcho(session, randomBytes(100_000));
    const stoppedAt = written;
    for (let i = 0; i < 20; i++) await checkEcho(session, randomBytes(100_000));
    expect(written).toBe(stoppedAt);
    expect(written).toBeLessThan(2_000_000);
    const [bytes] = await Promise.all([readAll(theirs), writing]);
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(hash.digest("hex"));
  });
});

test("two peers that call each other at the same moment have one session, each way working", async () => {
  for (const options of [{ only: "relay" }, { listen: "127.0.0.1:0" }, {}] satisfies NodePeerOptions[]) {
    for (let round = 0; round < 3; round++) {
      const common = { edge: edge.url, network: `crossing-${networks++}`, ...options };
      const a = await openPeer(common);
      const b = await openPeer(common);
      const sessions: Session[] = await Promise.all([a.connect(b.id), b.connect(a.id)]);
      for (const session of sessions) await checkEcho(session, randomBytes(100_000));
      expect([a.sessions().length, b.sessions().length]).toEqual([1, 1]);
      expect([a.sessions()[0], b.sessions()[0]]).toEqual(sessions);
    }
  }
});
