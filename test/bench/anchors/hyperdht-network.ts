/**
 * hyperdht: persistent nodes, each with a server, so that it can be found by its public key (`findPeer`) and dialled.
 * Records are immutable values. Messages are the requests and responses of the asking node. Not type-checked with the
 * rest: its packages are installed on demand.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import DHT from "hyperdht";

const BOOTSTRAP_MAX = 4;

export function createNetwork() {
  return {
    async open(bootstrap: readonly string[]) {
      const node = new DHT({
        bootstrap: bootstrap.slice(0, BOOTSTRAP_MAX).map((address) => JSON.parse(address)),
        host: "127.0.0.1",
        port: await freePort(),
        ephemeral: false,
        firewalled: false,
      });
      await node.fullyBootstrapped();
      const server = node.createServer({ firewall: () => false }, (socket) => {
        socket.on("data", (bytes) => socket.write(bytes));
        socket.on("error", () => {}); // The other side is done with it.
      });
      return nodeOf(node, server);
    },
  };
}

function nodeOf(node, server) {
  return {
    name: node.defaultKeyPair.publicKey.toString("hex"),
    address: JSON.stringify({ host: "127.0.0.1", port: node.address().port }),
    /** The closest nodes are told; the first nodes would have nobody to tell. */
    announce: () => server.listen(),
    size: () => node.toArray().length,
    isConnected: () => false, // A dial is a session of its own.
    find: (name: string) =>
      counted(node, async () => {
        for await (const { peer } of node.findPeer(Buffer.from(name, "hex"))) if (peer) return true;
        return false;
      }),
    async ping(name: string, bytes: number) {
      const socket = node.connect(Buffer.from(name, "hex"), { keyPair: DHT.keyPair() });
      socket.on("error", () => {}); // Torn down below.
      await once(socket, "open");
      socket.write(new Uint8Array(bytes).fill(0x5a));
      for (let left = bytes; left > 0;) left -= (await once(socket, "data"))[0].length;
      socket.destroy();
    },
    records: {
      async put(value: Uint8Array) {
        const { hash } = await node.immutablePut(Buffer.from(value));
        return hash.toString("hex");
      },
      get: (key: string) =>
        counted(node, async () => (await node.immutableGet(Buffer.from(key, "hex"))) !== null),
    },
  };
}

async function counted(node, ask: () => Promise<boolean>) {
  const { requests } = node.io.stats;
  const before = requests.total + requests.responses;
  const found = await ask();
  return { found, messages: requests.total + requests.responses - before };
}

/** A port of its own: UDX binds with SO_REUSEADDR, so that two processes would share the default one without a word. */
async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}
