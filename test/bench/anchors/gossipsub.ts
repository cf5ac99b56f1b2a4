/**
 * js-libp2p's gossipsub (the successor of `@chainsafe/libp2p-gossipsub`) over TCP, Noise and yamux, signing and checking as by default. Not
 * type-checked with the rest: its packages are installed on demand.
 */
import { noise } from "@chainsafe/libp2p-noise";
import { yamux } from "@chainsafe/libp2p-yamux";
import { gossipsub } from "@libp2p/gossipsub";
import { identify } from "@libp2p/identify";
import { tcp } from "@libp2p/tcp";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";

const TOPIC = "bench";
const MANY = 5000;
/** All nodes share this address; by default more than ten at one are taken for one attacker's, and no mesh takes any of them. */
const scoreParams = { IPColocationFactorWhitelist: new Set(["127.0.0.1"]) };
/** Each newcomer dials so many: sixteen connections a node on average, of which its mesh takes what it wants. */
const DIALS = 8;

export function createTopicStack() {
  return {
    async open(bootstrap: readonly string[]) {
      const node = await createLibp2p({
        addresses: { listen: ["/ip4/127.0.0.1/tcp/0"] },
        transports: [tcp()],
        connectionEncrypters: [noise()],
        streamMuxers: [yamux()],
        services: {
          identify: identify(),
          pubsub: gossipsub({ allowPublishToZeroTopicPeers: true, scoreParams }),
        },
        connectionManager: { maxConnections: MANY, inboundConnectionThreshold: MANY },
        connectionMonitor: { enabled: false },
      });
      const { pubsub } = node.services;
      let received = 0;
      pubsub.addEventListener("message", () => (received += 1));
      pubsub.subscribe(TOPIC);
      const some = [...bootstrap].sort(() => Math.random() - 0.5).slice(0, DIALS);
      for (const address of some) await node.dial(multiaddr(address));
      return {
        address: String(node.getMultiaddrs()[0]),
        links: () => pubsub.getMeshPeers(TOPIC).length,
        publish: (body: Uint8Array) => pubsub.publish(TOPIC, body),
        received: () => received,
      };
    },
  };
}
