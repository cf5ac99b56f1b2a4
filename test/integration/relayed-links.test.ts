/** Peers that no direct path joins are one network over the edge's relay: they meet in topics, keep records for each other, find each other's files. */
import { expect, test } from "vitest";
import type { NodePeerOptions, Peer } from "../../peer/node.ts";
import type { PeerOptions } from "../../peer/api/options.ts";
import type { TcpHost } from "../../peer/runtime.ts";
import { openEdge, openPeer, openPeerOn } from "./peers.ts";

const WAIT = { timeout: 20_000 } as const;

/** Nobody can dial it, and it has no WebRTC. */
const SHUT_IN: NodePeerOptions = { webrtc: false };

/** Overlay links that stand, and those of them over a relay. */
function linksOf(peer: Peer): readonly [number, number] {
  const { links, relayed } = peer.status().overlay ?? { links: 0, relayed: 0 };
  return [links, relayed];
}

/** Opens a topic everywhere, and publishes in it until everybody has heard. */
async function checkTopic(name: string, [first, ...others]: readonly [Peer, ...Peer[]]): Promise<void> {
  const topic = first.topic(name);
  const heard = Promise.all(
    others.map(async (peer) => {
      for await (const { from, value } of peer.topic(name)) return [from, value];
      return undefined;
    }),
  );
  await expect.poll(() => topic.peers.length, WAIT).toBe(others.length);
  await topic.publish("hello");
  expect(await heard).toEqual(others.map(() => [first.id, "hello"]));
}

for (const { name, options } of [
  { name: "that are shut in", options: SHUT_IN },
  { name: "for relays alone", options: { only: "relay" } },
] satisfies { name: string; options: NodePeerOptions }[]) {
  test(`two peers ${name} meet in a topic, keep each other's records and find each other's files`, async () => {
    const { url: edge } = await openEdge();
    const [anna, ben] = [await openPeer({ edge, ...options }), await openPeer({ edge, ...options })];
    await checkTopic("room", [anna, ben]);
    expect([linksOf(anna), linksOf(ben)]).toEqual([
      [1, 1],
      [1, 1],
    ]);
    expect(anna.sessions().map(({ path }) => path.kind)).toEqual(["relay"]);
    expect(await ben.records.get(await anna.records.put("kept"))).toBe("kept");
    await anna.files.share(new Blob(["purring"]), { name: "cat video" });
    for (const via of ["dht", "flood"] as const) {
      const found = async (): Promise<string[]> => {
        const names: string[] = [];
        for await (const hit of ben.search("cat", { via })) names.push(hit.name);
        return names;
      };
      await expect.poll(found, WAIT).toEqual(["cat video"]);
    }
  });
}

test("one for relays alone is found by, and finds, those that are linked directly, and none learns its address", async () => {
  const { url: edge } = await openEdge();
  const listening: NodePeerOptions = { edge, listen: "127.0.0.1:0", webrtc: false };
  const peers = [await openPeer(listening), await openPeer(listening), await openPeer(listening)] as const;
  const hidden = await openPeer({ edge, only: "relay", listen: "127.0.0.1:0" });
  await checkTopic("room", [hidden, ...peers]);
  await checkTopic("other room", [...peers, hidden]);
  expect(linksOf(hidden)[1]).toBe(linksOf(hidden)[0]);
  const key = await peers[0].records.put("kept");
  expect(await hidden.records.get(key)).toBe("kept");
  for (const peer of peers) {
    const session = peer.sessions().find(({ peerId }) => peerId === hidden.id);
    expect(session?.path).toMatchObject({ kind: "relay" });
  }
  expect(hidden.listenAddresses).toEqual([]);
});

test("when the edge starts again, its links come back", async () => {
  const edge = await openEdge();
  const [anna, ben] = [
    await openPeer({ edge: edge.url, ...SHUT_IN }),
    await openPeer({ edge: edge.url, ...SHUT_IN }),
  ];
  await expect
    .poll(() => [linksOf(anna), linksOf(ben)], WAIT)
    .toEqual([
      [1, 1],
      [1, 1],
    ]);
  await edge.stop();
  await expect
    .poll(() => [linksOf(anna), linksOf(ben)], WAIT)
    .toEqual([
      [0, 0],
      [0, 0],
    ]);
  await openEdge(Number(new URL(edge.url).port));
  await expect
    .poll(() => [linksOf(anna), linksOf(ben)], { timeout: 40_000 })
    .toEqual([
      [1, 1],
      [1, 1],
    ]);
  await checkTopic("room", [anna, ben]);
});

test("two parts of a network that reach each other in no direct way are one over the relay", async () => {
  const { url: edge } = await openEdge();
  const sites = [new Set<number>(), new Set<number>()] as const;
  const openAt = async (site: Set<number>): Promise<Peer> => {
    const reach = (tcp: TcpHost): TcpHost => ({
      ...tcp,
      connect: (address, signal) =>
        site.has(address.port) ? tcp.connect(address, signal) : Promise.reject(new Error("filtered")),
    });
    const options: PeerOptions = { edge, listen: "127.0.0.1:0" };
    const peer = await openPeerOn(({ tcp }) => (tcp === undefined ? {} : { tcp: reach(tcp) }), options);
    for (const address of peer.listenAddresses) site.add(Number(new URL(address).port));
    return peer;
  };
  const here: Peer[] = [];
  for (let i = 0; i < 4; i++) here.push(await openAt(sites[0]));
  await expect.poll(() => here.map(linksOf), WAIT).toEqual(Array(4).fill([3, 0]));
  const there: Peer[] = [];
  for (let i = 0; i < 4; i++) there.push(await openAt(sites[1]));
  await checkTopic("room", [here[0] as Peer, ...here.slice(1), ...there]);
  const key = await (there[3] as Peer).records.put("kept");
  for (const peer of here) expect(await peer.records.get(key)).toBe("kept");
});
