/** Nobody is made an amplifier: who has proved nothing, and whoever a liar names, is sent no more than was paid for it. */
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { loadNodeWebRtc } from "../../peer/adapters/node/webrtc.ts";
import { LENGTH_BYTES } from "../../peer/links/frame-assembler.ts";
import { encodeSignal } from "../../peer/links/signal-codec.ts";
import { SIGNAL_ID_BYTES } from "../../peer/links/signaller.ts";
import { TCP_MAGIC } from "../../peer/links/tcp.ts";
import type { Peer } from "../../peer/node.ts";
import type { PathAttempt } from "../../peer/overlay/path-attempt.ts";
import { encodeMesh } from "../../peer/overlay/mesh/mesh-messages.ts";
import { ASK } from "../../peer/overlay/mesh/requests.ts";
import { type MeshKey, meshKeyOf } from "../../peer/overlay/mesh/mesh-key.ts";
import { encodeRequest } from "../../peer/services/records/protocol.ts";
import type { PeerSession } from "../../peer/session/session.ts";
import { fromHex } from "../../shared/bytes.ts";
import { encode } from "../../shared/codec.ts";
import { publicKeyOf } from "../../shared/ids.ts";
import { aForward } from "./hostile-messages.ts";
import { bootstrapOf, checkEcho, linkedTo, openPeer } from "./peers.ts";

/** Of each kind; a neighbour may send two hundred messages a second. */
const REQUESTS = 50;
const VALUE_BYTES = 900;

/** A way to a listening peer on which the bytes of both directions are counted. */
interface CountedWay {
  readonly address: string;
  /** To the peer that listens, and from it. */
  readonly to: Buffer[];
  readonly from: Buffer[];
}

function bytesOf(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0);
}

function portOf({ listenAddresses }: Peer): number {
  return Number(new URL(listenAddresses[0] ?? "").port);
}

async function countedWay(listener: Peer): Promise<CountedWay> {
  const [to, from]: [Buffer[], Buffer[]] = [[], []];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const ahead = connect(portOf(listener), "127.0.0.1");
    for (const [one, other, chunks] of [
      [client, ahead, to],
      [ahead, client, from],
    ] as const) {
      sockets.add(one);
      one.on("data", (chunk: Buffer) => chunks.push(chunk));
      one.on("error", () => other.destroy());
      one.pipe(other);
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { address: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}/${listener.id}`, to, from };
}

async function meshKey({ id }: Peer): Promise<MeshKey> {
  return meshKeyOf(new Uint8Array(await crypto.subtle.digest("SHA-256", publicKeyOf(id).slice())));
}

test("who has proved nothing is answered with less than it has sent", async () => {
  const victim = await openPeer({ edge: null, listen: "127.0.0.1:0", webrtc: false });
  const way = await countedWay(victim);
  await linkedTo(await openPeer({ edge: null, webrtc: false, bootstrap: [way.address] }), 1);
  // Magic and the first frame of the handshake, said again by somebody who has not the key to go on.
  const said = Buffer.concat(way.to);
  const opening = said.subarray(0, TCP_MAGIC.length + LENGTH_BYTES + said.readUInt32BE(TCP_MAGIC.length));
  const stranger = connect(portOf(victim), "127.0.0.1");
  onTestFinished(() => void stranger.destroy());
  let answered = 0;
  stranger.on("data", (chunk: Buffer) => {
    answered += chunk.length;
  });
  stranger.write(opening);
  await once(stranger, "close"); // The peer's own deadline for a handshake.
  expect(answered).toBeGreaterThan(0);
  expect(answered).toBeLessThan(opening.length);
});

test("requests in somebody else's name are answered to who has sent them, or not at all", async () => {
  const victim = await openPeer({ edge: null, listen: "127.0.0.1:0", webrtc: false });
  const join = async (): Promise<{
    readonly peer: Peer;
    readonly way: CountedWay;
    readonly key: MeshKey;
  }> => {
    const way = await countedWay(victim);
    const peer = await openPeer({ edge: null, webrtc: false, bootstrap: [way.address] });
    await linkedTo(peer, 1);
    return { peer, way, key: await meshKey(peer) };
  };
  const [liar, named] = [await join(), await join()];
  const target = await meshKey(victim);
  const recordKey =
    fromHex(await named.peer.records.put(randomBytes(VALUE_BYTES / 2).toString("hex"))) ?? new Uint8Array(0);
  const session = (await liar.peer.connect(victim.id)) as PeerSession;
  const namedSession = await named.peer.connect(victim.id);
  const body = encode([ASK.service, encodeRequest({ kind: "get", key: recordKey, wanted: "value" })]);
  const origin = named.key;
  /** What the liar pays, and what it and the other are sent, for that many such requests. */
  const traffic = async (
    path: readonly MeshKey[],
  ): Promise<{ paid: number; answered: number; reflected: number }> => {
    const counts = (): number[] => [liar.way.to, liar.way.from, named.way.from].map(bytesOf);
    const before = counts();
    for (let i = 0; i < REQUESTS; i++)
      session.sendOverlay(encodeMesh(aForward({ target, origin, path, body })));
    // Behind them on the same links.
    await checkEcho(session, randomBytes(10));
    await checkEcho(namedSession, randomBytes(10));
    const [paid = 0, answered = 0, reflected = 0] = counts().map((count, i) => count - (before[i] ?? 0));
    return { paid, answered, reflected };
  };
  // Answers go back to the neighbour that has asked; what goes on from there, it sends itself.
  const back = await traffic([origin, liar.key]);
  expect(back.answered).toBeGreaterThan(REQUESTS * VALUE_BYTES);
  expect(back.reflected).toBeLessThanOrEqual(back.paid);
  for (const path of [[origin], [liar.key, origin]]) {
    const { paid, answered, reflected } = await traffic(path);
    expect(answered).toBeLessThan(paid / 2);
    expect(reflected).toBeLessThan(paid / 2);
  }
});

test("an offer that names somebody else's address has no more sent there than it has itself", async () => {
  const victim = await openPeer({ edge: null, listen: "127.0.0.1:0" });
  const liar = await openPeer({ edge: null, webrtc: false, bootstrap: bootstrapOf(victim) });
  await linkedTo(liar, 1);
  const session = (await liar.connect(victim.id)) as PeerSession;
  const bare = await bareOffer();
  const barest = bare.replace(/^a=(?!fingerprint|ice|mid|sctp|setup).*\r\n/gm, "");
  const over = givenUp(victim, liar, 4);
  const offer = async (sdp: string, candidates: number): Promise<{ paid: number; checked: number }> => {
    const checks: Buffer[] = [];
    const ports = await Promise.all(Array.from({ length: candidates }, () => udpPort(checks)));
    const message = encodeSignal({
      kind: "rtc",
      connectionId: randomBytes(SIGNAL_ID_BYTES),
      signal: { kind: "offer", sdp: withCandidates(sdp, ports) },
    });
    session.sendSignal(message);
    await over;
    return { paid: message.length, checked: bytesOf(checks) };
  };
  const offers = await Promise.all([offer(bare, 1), offer(bare, 8), offer(bare, 40), offer(barest, 1)]);
  for (const { paid, checked } of offers) expect(checked).toBeLessThanOrEqual(paid);
  // Those of an honest peer's size are tried.
  expect(offers.map(({ checked }) => checked > 0)).toEqual([true, true, true, false]);
  await checkEcho(session, randomBytes(1_000));
});

async function bareOffer(): Promise<string> {
  const host = await loadNodeWebRtc();
  if (host === undefined) throw new Error("no WebRTC here");
  const described = Promise.withResolvers<string>();
  const connection = host.open({
    role: "offerer",
    iceServers: [],
    onSignal: (signal) => {
      if (signal.kind === "offer") described.resolve(signal.sdp);
    },
  });
  onTestFinished(() => connection.destroy());
  return (await described.promise).replace(/^a=(candidate|end-of-candidates).*\r\n/gm, "");
}

async function udpPort(received: Buffer[]): Promise<number> {
  const socket = createSocket("udp4");
  onTestFinished(() => void socket.close());
  socket.on("message", (message) => received.push(message));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket.address().port;
}

function withCandidates(sdp: string, ports: readonly number[]): string {
  const line = (port: number, i: number): string =>
    `a=candidate:${i + 1} 1 UDP ${2_122_317_823 - i} 127.0.0.1 ${port} typ host\r\n`;
  return sdp + ports.map(line).join("");
}

/** Resolves when so many negotiations are over: each tells what holds it up, and what it ended with. */
async function givenUp(victim: Peer, { id }: Peer, count: number): Promise<void> {
  let told = 0;
  const over = Promise.withResolvers<void>();
  victim.addEventListener("attempt", (event) => {
    const { peerId, transport } = (event as CustomEvent<PathAttempt>).detail;
    if (peerId === id && transport === "webrtc" && ++told === 2 * count) over.resolve();
  });
  await over.promise;
}
