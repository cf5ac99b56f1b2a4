/**
 * js-libp2p with noise and yamux: `tcp` directly, `relay` over a circuit-relay-v2 server in a third process with its
 * limits off. Not type-checked with the rest: its packages are installed on demand.
 */
import { noise } from "@chainsafe/libp2p-noise";
import { yamux } from "@chainsafe/libp2p-yamux";
import { circuitRelayServer, circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { identify } from "@libp2p/identify";
import { tcp } from "@libp2p/tcp";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";

const PROTOCOL = "/bench/1";
const MANY = 5000;
const RESERVATION_MS_MAX = 20_000;

export function createStack(variant: string) {
  const relayed = variant === "relay";
  const transports = () => (relayed ? [tcp(), circuitRelayTransport()] : [tcp()]);
  let node;
  return {
    async helper() {
      const relay = circuitRelayServer({
        maxInboundHopStreams: MANY,
        maxOutboundHopStreams: MANY,
        maxOutboundStopStreams: MANY,
        reservations: { applyDefaultLimit: false, maxReservations: MANY },
      });
      return addressOf(await start({ transports: [tcp()], listen: ["/ip4/127.0.0.1/tcp/0"], services: { relay } }));
    },
    async listen(accept, helper: string) {
      const listen = [relayed ? `${helper}/p2p-circuit` : "/ip4/127.0.0.1/tcp/0"];
      const listener = await start({ transports: transports(), listen });
      await listener.handle(PROTOCOL, (stream, connection) => accept(streamConn(stream, connection)), {
        runOnLimitedConnection: true,
        maxInboundStreams: MANY,
      });
      if (listener.getMultiaddrs().length === 0) await reserved(listener);
      return addressOf(listener);
    },
    async prepare(_address: string, helper: string) {
      node = await start({ transports: transports() });
      if (relayed) await node.dial(multiaddr(helper));
    },
    async dial(address: string) {
      const connection = await node.dial(multiaddr(address), { force: true });
      return streamConn(await connection.newStream(PROTOCOL, { runOnLimitedConnection: true }), connection);
    },
  };
}

const addressOf = (node) => String(node.getMultiaddrs()[0]);

function start({ transports, listen = [], services = {} }) {
  return createLibp2p({
    addresses: { listen },
    transports,
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ...services },
    connectionManager: { maxConnections: MANY, inboundConnectionThreshold: MANY },
    connectionMonitor: { enabled: false },
  });
}

/** The relay has given an address. */
function reserved(node): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("The relay made no reservation.")), RESERVATION_MS_MAX);
    node.addEventListener("self:peer:update", () => {
      if (node.getMultiaddrs().length === 0) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

function streamConn(stream, connection) {
  const conn = {
    onData: (_bytes: Uint8Array): void => {},
    write: (bytes: Uint8Array): boolean => stream.send(bytes),
    drained: (): Promise<void> => stream.onDrain(),
    close: (): void => connection.abort(new Error("done")),
  };
  stream.addEventListener("message", ({ data }) => conn.onData(data.subarray()));
  return conn;
}
