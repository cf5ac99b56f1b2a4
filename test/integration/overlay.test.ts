/** The overlay of real peers over real links: peers find and reach each other through peers, with the edge and without. */
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { NodePeerOptions, Peer, Session } from "../../peer/node.ts";
import { temporaryFolder } from "./command.ts";
import {
  bootstrapOf,
  checkEcho,
  codeOf,
  counterOf,
  freePort,
  linkedTo,
  openEdge,
  openPeer,
  pathOf,
} from "./peers.ts";

describe("without any edge", () => {
  test("two that never met, and that nobody can dial, link through a third by WebRTC", async () => {
    const third = await openPeer({ edge: null, listen: "127.0.0.1:0" });
    const pure: NodePeerOptions = { edge: null, bootstrap: bootstrapOf(third) };
    const a = await openPeer(pure);
    const b = await openPeer(pure);
    await Promise.all([linkedTo(a, 1), linkedTo(b, 1)]);
    const session = await a.connect(b.id);
    await pathOf(session, ({ transport }) => transport === "webrtc");
    await checkEcho(session, randomBytes(100_000));
  });

  test("a peer that listens is asked for its address through the others, and dialled", async () => {
    const first = await openPeer({ edge: null, listen: "127.0.0.1:0", webrtc: false });
    const pure: NodePeerOptions = { edge: null, bootstrap: bootstrapOf(first), webrtc: false };
    const listening = await openPeer({ ...pure, listen: "127.0.0.1:0" });
    const other = await openPeer(pure);
    await Promise.all([linkedTo(listening, 1), linkedTo(other, 1)]);
    const session = await other.connect(listening.id);
    await pathOf(session, ({ transport }) => transport === "tcp");
    await checkEcho(session, randomBytes(1_000));
  });

  test("a peer that comes again finds the network by whom it remembers, and again when all its links were lost", async () => {
    const port = await freePort();
    const [rememberedData, dataDir] = [await temporaryFolder(), await temporaryFolder()];
    const lasting: NodePeerOptions = {
      edge: null,
      listen: `127.0.0.1:${port}`,
      webrtc: false,
      dataDir: rememberedData,
    };
    const remembered = await openPeer(lasting);
    const first = await openPeer({ edge: null, webrtc: false, dataDir, bootstrap: bootstrapOf(remembered) });
    await linkedTo(first, 1);
    await first.close();
    const again = await openPeer({ edge: null, webrtc: false, dataDir });
    await linkedTo(again, 1);
    expect(again.sessions()[0]?.peerId).toBe(remembered.id);
    await checkEcho(again.sessions()[0] as Session, randomBytes(1_000));
    const lost = new Promise((resolve) => again.sessions()[0]?.addEventListener("close", resolve));
    await remembered.close();
    await lost;
    await openPeer(lasting);
    await linkedTo(again, 1);
  });

  test("an id that nobody has is told apart from a slow one", async () => {
    const third = await openPeer({ edge: null, listen: "127.0.0.1:0", webrtc: false });
    const a = await openPeer({ edge: null, bootstrap: bootstrapOf(third), webrtc: false });
    const gone = await openPeer({ edge: null });
    await gone.close();
    await linkedTo(a, 1);
    expect(await codeOf(a.connect(gone.id))).toBe("peer/not-found");
  });

  test("a peer that stays out of it has only the sessions it made", async () => {
    const third = await openPeer({ edge: null, listen: "127.0.0.1:0" });
    const out = await openPeer({ edge: null, bootstrap: bootstrapOf(third), overlay: false });
    const other = await openPeer({ edge: null, bootstrap: bootstrapOf(third) });
    await Promise.all([linkedTo(out, 1), linkedTo(other, 1)]);
    expect(await codeOf(out.connect(other.id))).toBe("connect/no-path");
    expect(out.sessions()).toHaveLength(1);
  });
});

describe("with an edge", () => {
  test("after the joins it sees nothing more, and when it is gone the network goes on and grows", async () => {
    const edge = await openEdge();
    const count = 8;
    const peers: Peer[] = [];
    for (let i = 0; i < count; i++) peers.push(await openPeer({ edge: edge.url, listen: "127.0.0.1:0" }));
    await Promise.all(peers.map((peer) => linkedTo(peer, count - 1)));
    const names = ["signals", "finds", "relay_channels", "relay_frames"].map(
      (name) => `peerloom_${name}_total`,
    );
    const before = await Promise.all(names.map((name) => counterOf(edge.url, name)));
    const [first, last] = [peers[0] as Peer, peers[count - 1] as Peer];
    for (const peer of peers.slice(1)) await checkEcho(await first.connect(peer.id), randomBytes(1_000));
    expect(await Promise.all(names.map((name) => counterOf(edge.url, name)))).toEqual(before);

    await edge.stop();
    const newcomer = await openPeer({ edge: null, bootstrap: bootstrapOf(first), listen: "127.0.0.1:0" });
    await linkedTo(newcomer, count);
    await checkEcho(await newcomer.connect(last.id), randomBytes(1_000));
    await checkEcho(await last.connect(newcomer.id), randomBytes(1_000));
  });

  test("peers that nobody can dial meet by WebRTC, and still connect when the edge is gone", async () => {
    const edge = await openEdge();
    const peers: Peer[] = [];
    for (let i = 0; i < 4; i++) peers.push(await openPeer({ edge: edge.url }));
    await Promise.all(peers.map((peer) => linkedTo(peer, 3)));
    await edge.stop();
    const [first, last] = [peers[0] as Peer, peers[3] as Peer];
    const parted = new Promise((resolve) => {
      first
        .sessions()
        .find(({ peerId }) => peerId === last.id)
        ?.addEventListener("close", resolve);
    });
    await last
      .sessions()
      .find(({ peerId }) => peerId === first.id)
      ?.close();
    await parted;
    const session = await first.connect(last.id);
    await pathOf(session, ({ kind }) => kind === "direct");
    await checkEcho(session, randomBytes(10_000));
  });
});
