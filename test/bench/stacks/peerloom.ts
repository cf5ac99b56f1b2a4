/**
 * peerloom through its public library: `tcp` (pure, a listening peer), `webrtc` (signalled by an embedded edge), `relay`
 * (through its relay channel), `joined` (peers that only hold their place at the edge).
 */
import { type EmbeddedEdge, startEmbeddedEdge } from "../../../infra/embedded-edge.ts";
import { Peer } from "../../../peer/node.ts";
import { OWN_HOST } from "../lib/own-host.ts";
import type { Conn, Stack } from "../lib/stack.ts";

const PROTOCOL = "bench/1";
const NETWORK = "bench";
const READ_BYTES = 262_144;

interface Address {
  readonly id: string;
  readonly addresses: readonly string[];
}
type Session = Awaited<ReturnType<Peer["connect"]>>;
type Stream = Awaited<ReturnType<Session["open"]>>;

const TRANSPORT: { readonly [variant: string]: string } = { tcp: "tcp", webrtc: "webrtc", relay: "relay" };
const TRANSPORT_MS_MAX = 15_000;

export interface PeerloomStack extends Stack {
  /** This process's peer, once it listens or is prepared. */
  readonly peer: () => Peer;
}

export function createStack(variant: string): PeerloomStack {
  let own: Peer | undefined;
  let edge: string | null = null;
  let embedded: EmbeddedEdge | undefined;
  const held: unknown[] = [];

  const open = (listening: boolean): Promise<Peer> => {
    if (variant === "tcp") {
      return Peer.open({
        edge: null,
        network: NETWORK,
        webrtc: false,
        ...(listening ? { listen: `${OWN_HOST}:0` } : {}),
      });
    }
    const only = variant === "relay" ? "relay" : "direct";
    return Peer.open({ edge, network: NETWORK, ...(variant === "joined" ? {} : { only }) });
  };
  const dialFrom = async (peer: Peer, text: string): Promise<Conn> => {
    const { id, addresses } = JSON.parse(text) as Address;
    const session = await peer.connect(id, { addresses });
    await onTransport(session, TRANSPORT[variant]);
    return streamConn(await session.open(PROTOCOL), () => session.close());
  };

  return {
    peer() {
      if (own === undefined) throw new Error("This process has no peer yet.");
      return own;
    },
    async stop() {
      await embedded?.stop();
    },
    async helper() {
      embedded = await startEmbeddedEdge(OWN_HOST === "127.0.0.1" ? {} : { host: "*" });
      return embedded.url.replace("127.0.0.1", OWN_HOST);
    },
    async listen(accept, helper) {
      edge = helper === "" ? null : helper;
      own = await open(true);
      own.handle(PROTOCOL, (stream) => {
        accept(streamConn(stream, () => stream.reset()));
        return stream.closed;
      });
      return JSON.stringify({ id: own.id, addresses: own.listenAddresses } satisfies Address);
    },
    async prepare(_address, helper) {
      edge = helper === "" ? null : helper;
      own = await open(false);
    },
    dial(address) {
      if (own === undefined) throw new Error("Dialled before it was prepared.");
      return dialFrom(own, address);
    },
    /** Two peers have one session, so each thing held is a peer of its own. */
    async hold(address) {
      const peer = await open(false);
      held.push(peer);
      if (variant === "joined") return;
      const conn = await dialFrom(peer, address);
      const echoed = new Promise<void>((resolve) => {
        conn.onData = () => resolve();
      });
      conn.write(new TextEncoder().encode("E\0\0\0\0\0\0\0\0."));
      await echoed;
      held.push(conn);
    },
  };
}

/** The session begins on whatever stands first; what is measured is one kind. */
async function onTransport(session: Session, transport: string | undefined): Promise<void> {
  if (transport === undefined || session.path.transport === transport) return;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`The session stayed on ${session.path.transport} (${session.path.why}).`));
    }, TRANSPORT_MS_MAX);
    session.addEventListener("path", () => {
      if (session.path.transport !== transport) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

function streamConn(stream: Stream, close: Conn["close"]): Conn {
  const writer = stream.writable.getWriter();
  const conn: Conn = {
    onData: () => {},
    write(bytes) {
      writer.write(bytes).catch(() => {}); // A finished round is torn down.
      return (writer.desiredSize ?? 0) > 0;
    },
    drained: () => writer.ready,
    close,
  };
  const read = async (): Promise<void> => {
    // As an application in a hurry reads: into its own memory, again and again.
    const reader = stream.readable.getReader({ mode: "byob" });
    for (let memory = new ArrayBuffer(READ_BYTES); ;) {
      const { value, done } = await reader.read(new Uint8Array(memory));
      if (done) return;
      conn.onData(value);
      memory = value.buffer;
    }
  };
  read().catch(() => {}); // As above.
  return conn;
}
