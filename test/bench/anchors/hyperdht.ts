/**
 * hyperdht: Noise over UDX, the listener found by its public key in a loopback DHT of ten nodes (third process). Not
 * type-checked with the rest: its packages are installed on demand.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import DHT from "hyperdht";
import { OWN_HOST } from "../lib/own-host.ts";
import createTestnet from "hyperdht/testnet.js";

const NODES = 10;

export function createStack() {
  let node;
  return {
    async helper() {
      const testnet = await createTestnet(NODES, { host: OWN_HOST, port: await freePort() });
      return JSON.stringify(testnet.bootstrap);
    },
    async listen(accept, helper: string) {
      const listener = await start(helper);
      const server = listener.createServer({ firewall: () => false }, (socket) => accept(socketConn(socket)));
      await server.listen();
      return server.publicKey.toString("hex");
    },
    async prepare(_address: string, helper: string) {
      node = await start(helper);
      await node.fullyBootstrapped();
    },
    async dial(publicKey: string) {
      const socket = node.connect(Buffer.from(publicKey, "hex"), { keyPair: DHT.keyPair() });
      await once(socket, "open");
      return socketConn(socket);
    },
  };
}

/** A port of its own: UDX binds with SO_REUSEADDR, so that two processes would share the default one without a word. */
async function start(helper: string) {
  return new DHT({ bootstrap: JSON.parse(helper), host: OWN_HOST, port: await freePort() });
}

async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, OWN_HOST);
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}

function socketConn(socket) {
  const conn = {
    onData: (_bytes: Uint8Array): void => {},
    write: (bytes: Uint8Array): boolean => socket.write(bytes),
    drained: (): Promise<void> => new Promise((resolve) => socket.once("drain", resolve)),
    close: (): void => socket.destroy(),
  };
  socket.on("data", (bytes) => conn.onData(bytes));
  socket.on("error", () => {}); // The other side of a finished round is gone.
  return conn;
}
