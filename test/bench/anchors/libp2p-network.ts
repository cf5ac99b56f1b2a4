/**
 * js-libp2p with kad-dht over TCP, Noise and yamux. A peer is found by `findPeer` without the peer store, which on a small
 * network knows everybody. Messages are the queries and responses of the asking node. Not type-checked with the rest:
 * its packages are installed on demand.
 */
import { createHash } from "node:crypto";
import { noise } from "@chainsafe/libp2p-noise";
import { yamux } from "@chainsafe/libp2p-yamux";
import { identify } from "@libp2p/identify";
import { kadDHT, passthroughMapper } from "@libp2p/kad-dht";
import { peerIdFromString } from "@libp2p/peer-id";
import { ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";

const PROTOCOL = "/bench/1";
const MANY = 5000;
const BOOTSTRAP_MAX = 4;
const JOIN_LOOK_MS = 2;
const ASK_MS_MAX = 10_000;

export function createNetwork() {
  return {
    async open(bootstrap: readonly string[]) {
      const node = await createLibp2p({
        addresses: { listen: ["/ip4/127.0.0.1/tcp/0"] },
        transports: [tcp()],
        connectionEncrypters: [noise()],
        streamMuxers: [yamux()],
        services: {
          identify: identify(),
          ping: ping(),
          dht: kadDHT({
            protocol: "/bench/kad/1.0.0",
            clientMode: false,
            peerInfoMapper: passthroughMapper,
            validators: { bench: async () => {} },
            selectors: { bench: () => 0 },
          }),
        },
        connectionManager: { maxConnections: MANY, inboundConnectionThreshold: MANY },
        connectionMonitor: { enabled: false },
      });
      await node.handle(
        PROTOCOL,
        (stream) => stream.addEventListener("message", ({ data }) => stream.send(data.subarray())),
        { maxInboundStreams: MANY },
      );
      for (const address of bootstrap.slice(0, BOOTSTRAP_MAX)) await node.dial(multiaddr(address));
      while (bootstrap.length > 0 && node.services.dht.routingTable.size === 0) {
        await new Promise((resolve) => setTimeout(resolve, JOIN_LOOK_MS));
      }
      return nodeOf(node);
    },
  };
}

function nodeOf(node) {
  const { dht } = node.services;
  return {
    name: node.peerId.toString(),
    address: String(node.getMultiaddrs()[0]),
    size: () => dht.routingTable.size,
    isConnected: (name: string) => node.getConnections(peerIdFromString(name)).length > 0,
    find: (name: string) =>
      asked(
        (signal) => dht.findPeer(peerIdFromString(name), { useCache: false, signal }),
        (event) => event.name === "FINAL_PEER",
      ),
    async ping(name: string, bytes: number) {
      const connection = await node.dial(peerIdFromString(name));
      const stream = await connection.newStream(PROTOCOL);
      let left = bytes;
      const echoed = new Promise<void>((resolve) => {
        stream.addEventListener("message", ({ data }) => {
          left -= data.byteLength;
          if (left <= 0) resolve();
        });
      });
      stream.send(new Uint8Array(bytes).fill(0x5a));
      await echoed;
      stream.abort(new Error("done"));
    },
    records: {
      async put(value: Uint8Array) {
        const key = `/bench/${createHash("sha256").update(value).digest("hex")}`;
        for await (const _event of dht.put(new TextEncoder().encode(key), value));
        return key;
      },
      get: (key: string) =>
        asked(
          (signal) => dht.get(new TextEncoder().encode(key), { signal }),
          (event) => event.name === "VALUE",
        ),
    },
  };
}

/** Up to the first event that answers. */
async function asked(query, answers: (event) => boolean) {
  let messages = 0;
  try {
    for await (const event of query(AbortSignal.timeout(ASK_MS_MAX))) {
      if (event.name === "SEND_QUERY" || event.name === "PEER_RESPONSE") messages += 1;
      if (answers(event)) return { found: true, messages };
    }
  } catch (error) {
    if (error.name !== "NotFoundError" && error.name !== "TimeoutError") throw error;
  }
  return { found: false, messages };
}
