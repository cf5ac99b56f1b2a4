/** Real links keep the contract: sockets of the loopback, native WebRTC, and the edge in workerd. */
import { afterAll, beforeAll } from "vitest";
import { type EmbeddedEdge, startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { nodeRuntime } from "../../peer/adapters/node/runtime.ts";
import { loadNodeWebRtc } from "../../peer/adapters/node/webrtc.ts";
import { generateIdentity, type Identity } from "../../peer/identity/identity.ts";
import type { Link } from "../../peer/links/link.ts";
import { listen } from "../../peer/links/listen.ts";
import { dialRelay } from "../../peer/links/relay.ts";
import { dialTcp } from "../../peer/links/tcp.ts";
import { negotiateWebRtc, withFreshConnections, type WebRtcNegotiation } from "../../peer/links/webrtc.ts";
import { dialWebSocket } from "../../peer/links/websocket.ts";
import { type RelayOffer, Rendezvous } from "../../peer/overlay/rendezvous.ts";
import { type NetworkName, parseNetworkName, type PeerId } from "../../shared/ids.ts";
import { type LinkPair, linkContract } from "../contract/link.ts";

const HOST = "127.0.0.1";
const network = parseNetworkName("contract") as NetworkName;
const never = new AbortController().signal;
const runtime = nodeRuntime({ dataDir: undefined, webrtc: await loadNodeWebRtc({ bindAddress: HOST }) });

let edge: EmbeddedEdge;
let asker: Rendezvous;
let asked: Rendezvous;
let askedId: PeerId;

beforeAll(async () => {
  edge = await startEmbeddedEdge({ host: HOST });
  const identities = await Promise.all([generateIdentity(runtime.random), generateIdentity(runtime.random)]);
  const join = async (identity: Identity): Promise<Rendezvous> => {
    const rendezvous = new Rendezvous({ runtime, identity, network, edge: edge.url, addresses: () => [] });
    await rendezvous.open();
    return rendezvous;
  };
  [asker, asked] = await Promise.all([join(identities[0]), join(identities[1])]);
  askedId = identities[1].id;
});

afterAll(async () => {
  await Promise.all([asker.close(), asked.close()]);
  await edge.stop();
});

/** Dials a port that this process listens on. */
async function listenedPair(dial: (port: number) => Promise<Link>): Promise<LinkPair> {
  const accepted = Promise.withResolvers<Link>();
  const listener = await listen(runtime, { host: HOST, port: 0 }, accepted.resolve);
  try {
    const [a, b] = await Promise.all([dial(listener.port), accepted.promise]);
    return pairOf(a, b);
  } finally {
    await listener.close();
  }
}

const webrtcPair = (): Promise<LinkPair> => withFreshConnections(connectedPair, runtime);

async function connectedPair(): Promise<LinkPair> {
  const host = runtime.webrtc;
  if (host === undefined) throw new Error("This machine has no native WebRTC.");
  const { clock } = runtime;
  const common = { host, iceServers: [], clock, signal: never };
  const answerer: WebRtcNegotiation = negotiateWebRtc({
    ...common,
    role: "answerer",
    send: (signal) => offerer.accept(signal),
  });
  const offerer: WebRtcNegotiation = negotiateWebRtc({
    ...common,
    role: "offerer",
    send: (signal) => answerer.accept(signal),
  });
  const [a, b] = await Promise.all([offerer.link, answerer.link]);
  return pairOf(a, b);
}

/** A channel and its two tickets, as two members of a rendezvous get them. */
async function relayPair(): Promise<LinkPair> {
  const offered = Promise.withResolvers<RelayOffer>();
  asked.onRelayOffer = offered.resolve;
  const grants = await Promise.all([asker.relay(askedId, Uint8Array.of(1)), offered.promise]);
  const [a, b] = await Promise.all(
    grants.map(({ channel, ticket }) => dialRelay(runtime, { edge: edge.url, channel, ticket }, never)),
  );
  return pairOf(a as Link, b as Link);
}

function pairOf(a: Link, b: Link): LinkPair {
  return {
    a,
    b,
    dispose() {
      a.destroy();
      b.destroy();
    },
  };
}

linkContract("tcp", () => listenedPair((port) => dialTcp(runtime, { host: HOST, port }, never)));
linkContract("websocket", () =>
  listenedPair((port) => dialWebSocket(runtime, { url: `ws://${HOST}:${port}` }, never)),
);
linkContract("webrtc", () => webrtcPair(), { tellsOrderlyEnd: false, outlastsLoad: false });
linkContract("relay", relayPair, { tellsOrderlyEnd: false, fills: false });
