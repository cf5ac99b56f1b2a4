/** Peers in a row, each with a session to the next alone: a question goes from one to the other, and so do answers, ends and giving up. */
import { expect, onTestFinished, test } from "vitest";
import { nodeRuntime } from "../../peer/adapters/node/runtime.ts";
import type { Peer, SearchHit, SearchOptions, Session, Stream } from "../../peer/node.ts";
import type { ListedShare } from "../../peer/services/files/files.ts";
import { formatTicket } from "../../peer/services/files/ticket.ts";
import { SEARCH_PROTOCOL } from "../../peer/services/search/protocol.ts";
import { Search, type SearchContext } from "../../peer/services/search/search.ts";
import { DEFAULT_NETWORK } from "../../shared/ids.ts";
import { bootstrapOf, linkedTo, openPeer } from "./peers.ts";

interface InRow {
  readonly peer: Peer;
  readonly search: Search;
  list(...names: string[]): void;
}

/** Peers without an overlay of their own, so that nobody is linked to anybody but those beside it. */
async function row(count: number): Promise<InRow[]> {
  const peers: Peer[] = [];
  for (let i = 0; i < count; i++) {
    const before = peers.at(-1);
    peers.push(
      await openPeer({
        edge: null,
        overlay: false,
        webrtc: false,
        listen: "127.0.0.1:0",
        ...(before === undefined ? {} : { bootstrap: bootstrapOf(before) }),
      }),
    );
  }
  await Promise.all(peers.map((peer, i) => linkedTo(peer, i === 0 || i === count - 1 ? 1 : 2)));
  return peers.map(searching);
}

function searching(peer: Peer): InRow {
  let listed: readonly ListedShare[] = [];
  const files: SearchContext["files"] = { listed: () => listed, onListed: () => {} };
  const nobody = (): Promise<never> => Promise.reject(new Error("There is no overlay here."));
  const search = new Search({
    host: {
      id: peer.id,
      network: DEFAULT_NETWORK,
      runtime: nodeRuntime({ dataDir: undefined, webrtc: undefined }),
      addresses: () => [],
      connect: (id, options) => peer.connect(id, options),
      sign: nobody,
      sessions: () => peer.sessions(),
      isLinked: () => Promise.resolve(true),
      handle: (protocol, handler) => peer.handle(protocol, handler),
    },
    files,
    records: { provide: nobody, providers: nobody },
    edge: undefined,
    isEdgeThere: () => false,
    overlay: { neighbours: () => peer.sessions(), hasSession: () => true, release: () => {} },
  });
  onTestFinished(() => search.close());
  const list = (...names: string[]): void => {
    listed = names.map((name, index) => {
      const hash = new Uint8Array(32).fill(index + 1);
      const providers = [{ id: peer.id, addresses: [] }];
      const ticket = formatTicket({
        hash,
        network: DEFAULT_NETWORK,
        name,
        bytes: 1,
        providers,
        edge: undefined,
      });
      return { share: { ticket, hash: "", bytes: 1, name, close: () => Promise.resolve() }, paths: () => [] };
    });
    files.onListed();
  };
  return { peer, search, list };
}

async function all({ search }: InRow, text: string, options: SearchOptions = {}): Promise<SearchHit[]> {
  const hits: SearchHit[] = [];
  for await (const hit of search.search(text, { via: "flood", ...options })) hits.push(hit);
  return hits;
}

test("what only the last has the first finds, through all in between; past eight steps it does not look", async () => {
  const peers = await row(10);
  const [first] = peers as [InRow];
  peers[4]?.list("wanted thing");
  expect(await all(first, "wanted")).toMatchObject([{ name: "wanted thing", via: "flood", sources: 1 }]);
  peers[8]?.list("unwanted", "last wanted thing");
  expect((await all(first, "thing wanted")).map(({ name }) => name).toSorted()).toEqual([
    "last wanted thing",
    "wanted thing",
  ]);
  peers[9]?.list("remote thing");
  // A neighbour's digest is looked at one step before its peer, and steps are counted from the asker.
  expect(await all(first, "remote", { timeoutMs: 4_000 })).toEqual([]);
});

test("one that never answers costs the time of its own step, and what others found arrives", async () => {
  const peers = await row(5);
  const [first] = peers as [InRow];
  peers[2]?.list("wanted thing");
  const silent = Promise.withResolvers<Stream>();
  peers[4]?.peer.handle(SEARCH_PROTOCOL, async (stream) => {
    silent.resolve(stream);
    await stream.closed;
  });
  const begunMs = performance.now();
  expect(await all(first, "wanted", { timeoutMs: 3_000 })).toHaveLength(1);
  expect(performance.now() - begunMs).toBeLessThan(30_000);
  // Given up: nothing is left open at the silent one either.
  await (
    await silent.promise
  ).closed;
});

test("who stops listening stops all along the row", async () => {
  const peers = await row(4);
  const [first] = peers as [InRow];
  peers[1]?.list("wanted thing");
  const silent = Promise.withResolvers<Stream>();
  peers[3]?.peer.handle(SEARCH_PROTOCOL, async (stream) => {
    silent.resolve(stream);
    await stream.closed;
  });
  for await (const hit of first.search.search("wanted", { via: "flood", timeoutMs: 30_000 })) {
    expect(hit.name).toBe("wanted thing");
    await silent.promise;
    break;
  }
  await (
    await silent.promise
  ).closed;
});

test("a digest is known while its session lasts, and follows what is listed", async () => {
  const peers = await row(2);
  const [first, second] = peers as [InRow, InRow];
  const near = async (word: string): Promise<number> =>
    (await all(first, word, { via: "auto", timeoutMs: 1_500 })).length;
  let asked = 0;
  const { peer } = second;
  second.list("wanted thing");
  expect(await near("wanted")).toBe(1);
  second.list("another thing");
  expect(await near("another")).toBe(1);
  expect(await near("wanted")).toBe(0);
  // With its session gone nobody asks it any more.
  const sessions: readonly Session[] = first.peer.sessions();
  await Promise.all(sessions.map((session) => session.close()));
  peer.handle(SEARCH_PROTOCOL, () => void (asked += 1));
  expect(await near("another")).toBe(0);
  expect(asked).toBe(0);
});
