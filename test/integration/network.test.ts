/** A whole network on one machine: what its edge sees once everybody has joined, and how it lives on without. */
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { EdgeState } from "../../peer/api/peer.ts";
import type { NodePeerOptions, Peer } from "../../peer/node.ts";
import { temporaryFolder } from "./command.ts";
import { bootstrapOf, checkEcho, counterOf, freePort, linkedTo, openEdge, openPeer } from "./peers.ts";

const COUNT = 32;
const BEACONS = 4;
/** Of the peers, those that listen nowhere and link by WebRTC. */
const HIDDEN = 4;
const LINKS = 8;

/** Resolves when a peer is, or is no more, connected to its edge. */
async function edgeState(peer: Peer, connected: boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    const look = (event: Event): void => {
      if ((event as CustomEvent<EdgeState>).detail.connected !== connected) return;
      peer.removeEventListener("edge", look);
      resolve();
    };
    peer.addEventListener("edge", look);
  });
}

/** Most pairs have never met: their sessions are set up through others. */
async function everybodyReachesEverybody(peers: readonly Peer[]): Promise<void> {
  const reachAll = async (peer: Peer): Promise<void> => {
    for (const other of peers)
      if (other !== peer) await checkEcho(await peer.connect(other.id), randomBytes(100));
  };
  await Promise.all(peers.map(reachAll));
}

test(
  "32 peers: after the joins the edge keeps its beacons' sockets and nothing else; without it all goes on",
  { timeout: 180_000 },
  async () => {
    const port = await freePort();
    const vars = { RENDEZVOUS_BEACONS: String(BEACONS) };
    const edge = await openEdge(port, vars);
    const options = (index: number): NodePeerOptions =>
      index % 8 === 7 ? { edge: edge.url } : { edge: edge.url, listen: "127.0.0.1:0", webrtc: index % 8 < 1 };
    const peers: Peer[] = [];
    const left: Promise<void>[] = [];
    for (let index = 0; index < COUNT; index++) {
      const peer = await openPeer(options(index));
      peers.push(peer);
      if (index >= BEACONS) left.push(edgeState(peer, false));
    }
    expect(peers.filter(({ listenAddresses }) => listenAddresses.length === 0)).toHaveLength(HIDDEN);
    await Promise.all(peers.map((peer) => linkedTo(peer, LINKS)));
    await Promise.all(left);

    const counters = ["joins", "signals", "finds", "relay_channels", "relay_frames"].map(
      (name) => `peerloom_${name}_total`,
    );
    const counted = (): Promise<number[]> => Promise.all(counters.map((name) => counterOf(edge.url, name)));
    const before = await counted();
    expect(before[0]).toBe(COUNT);
    const pick = (index: number): Peer => peers[index % COUNT] as Peer;
    for (let index = 0; index < COUNT; index++)
      await checkEcho(await pick(index).connect(pick(index * 7 + 3).id), randomBytes(1_000));
    const key = await pick(5).records.put("kept by peers");
    expect(await pick(20).records.get(key)).toBe("kept by peers");
    expect(await counted()).toEqual(before);

    await edge.stop();
    await everybodyReachesEverybody(peers);
    expect(await pick(9).records.get(key)).toBe("kept by peers");
    const folder = await temporaryFolder();
    const content = randomBytes(3_000_000);
    await writeFile(join(folder, "file"), content);
    const share = await pick(2).files.share(join(folder, "file"));
    const copy = join(folder, "copy");
    await pick(29).files.get(share.ticket).saveTo(copy);
    expect(content.equals(await readFile(copy))).toBe(true);

    const newcomer = await openPeer({ edge: null, bootstrap: bootstrapOf(pick(1)), webrtc: false });
    await linkedTo(newcomer, LINKS);
    await checkEcho(await newcomer.connect(pick(7).id), randomBytes(1_000));
    expect(await newcomer.records.get(key)).toBe("kept by peers");

    const back = edgeState(pick(0), true);
    await openEdge(port, vars);
    await back;
    const late = await openPeer({ edge: edge.url });
    await checkEcho(await late.connect(pick(30).id), randomBytes(1_000));
  },
);

test(
  "two that have left the rendezvous and can only be relayed ask each other back to it",
  { timeout: 60_000 },
  async () => {
    const edge = await openEdge(0, { RENDEZVOUS_BEACONS: "2" });
    // Nobody forwards, so that only the edge's relay is left.
    const common: NodePeerOptions = { edge: edge.url, webrtc: false, forward: false };
    const listeners: Peer[] = [];
    for (let i = 0; i < LINKS + 1; i++) listeners.push(await openPeer({ ...common, listen: "127.0.0.1:0" }));
    const [a, b] = [await openPeer(common), await openPeer(common)];
    const left = Promise.all([edgeState(a, false), edgeState(b, false)]);
    await Promise.all([linkedTo(a, LINKS), linkedTo(b, LINKS)]);
    await left;
    const session = await a.connect(b.id);
    expect(session.path.transport).toBe("relay");
    await checkEcho(session, randomBytes(100_000));
  },
);
