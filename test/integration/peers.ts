/** Peers and edges inside the test's own process, and a way to count on every byte that goes between two of them. */
import { createHash, type Hash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { expect, onTestFinished } from "vitest";
import { type EmbeddedEdge, startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { nodeRuntime } from "../../peer/adapters/node/runtime.ts";
import { ALL_PARTS } from "../../peer/api/all-parts.ts";
import { Peer as CorePeer } from "../../peer/api/peer.ts";
import { loadOrCreateIdentity } from "../../peer/identity/identity-store.ts";
import { type NodePeerOptions, Peer, type PeerOptions, type Session, type Stream } from "../../peer/node.ts";
import type { Runtime } from "../../peer/runtime.ts";

/** The longest that a test waits for one state of things. */
const STATE_TIMEOUT_MS = 20_000;

/** A peer for one test, closed with it. */
export async function openPeer(options: NodePeerOptions): Promise<Peer> {
  // Nobody of the machine's own network is met; lan.test.ts has networks of its own.
  const peer = await Peer.open({ iceServers: [], lan: false, ...options });
  onTestFinished(() => peer.close());
  return peer;
}

/** The same on a host that the test has changed. */
export async function openPeerOn(
  change: (runtime: Runtime) => Partial<Runtime>,
  options: PeerOptions,
): Promise<Peer> {
  const runtime = nodeRuntime({ dataDir: undefined, webrtc: undefined });
  const identity = await loadOrCreateIdentity(runtime);
  const host = { ...runtime, ...change(runtime) };
  const peer = await CorePeer.openOn(host, identity, { lan: false, ...options }, ALL_PARTS);
  onTestFinished(() => peer.close());
  return peer;
}

/** An edge that a test may stop before its end. */
export async function openEdge(port = 0, vars: Readonly<Record<string, string>> = {}): Promise<EmbeddedEdge> {
  const edge = await startEmbeddedEdge({ host: "127.0.0.1", port, vars });
  onTestFinished(() => edge.stop());
  return edge;
}

/** A port that was just free and is closed again: nobody listens there. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Resolves when the peer has direct sessions to so many others; awaited by its event. */
export async function linkedTo(peer: Peer, count: number): Promise<void> {
  const have = (): number => peer.sessions().filter(({ path }) => path.kind === "direct").length;
  if (have() >= count) return;
  await new Promise<void>((resolve, reject) => {
    const look = (): void => {
      if (have() < count) return;
      clearTimeout(timer);
      peer.removeEventListener("session", look);
      resolve();
    };
    const timer = setTimeout(
      () => reject(new Error(`${have()} direct sessions after ${STATE_TIMEOUT_MS} ms`)),
      STATE_TIMEOUT_MS,
    );
    peer.addEventListener("session", look);
  });
}

/** A figure that the edge tells of itself. */
export async function counterOf(edge: string, name: string): Promise<number> {
  const text = await (await fetch(`${edge}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1] ?? "0");
}

/** How others reach it without an edge. */
export function bootstrapOf(peer: Peer): string[] {
  return [`${peer.listenAddresses[0]}/${peer.id}`];
}

/** Resolves when the session's path is that one; a path is awaited by its event, never by sleeping. */
export async function pathOf(
  session: Session,
  accept: (path: Session["path"]) => boolean,
  timeoutMs = STATE_TIMEOUT_MS,
): Promise<void> {
  if (accept(session.path)) return;
  await new Promise<void>((resolve, reject) => {
    const look = (): void => {
      if (!accept(session.path)) return;
      clearTimeout(timer);
      session.removeEventListener("path", look);
      resolve();
    };
    const timer = setTimeout(() => {
      session.removeEventListener("path", look);
      reject(new Error(`still ${session.path.transport} (${session.path.why}) after ${timeoutMs} ms`));
    }, timeoutMs);
    session.addEventListener("path", look);
  });
}

/** Writes what it is told on one side, and hashes what comes out on the other. */
export class Transfer {
  /** Resolves with the hash of what came, when all has come; rejects with the stream's error. */
  readonly received: Promise<string>;
  bytesReceived = 0;
  readonly #came: Hash = createHash("sha256");
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #sent: Hash = createHash("sha256");
  #listener: () => void = () => {};

  private constructor(writable: Stream["writable"], incoming: Promise<Stream>) {
    this.#writer = writable.getWriter();
    this.#writer.closed.catch(() => {});
    this.received = this.#read(incoming);
    this.received.catch(() => {});
  }

  static async begin(session: Session, to: Peer, protocol = "transfer/1"): Promise<Transfer> {
    const incoming = Promise.withResolvers<Stream>();
    to.handle(protocol, async (stream) => {
      incoming.resolve(stream);
      await stream.closed;
    });
    const stream = await session.open(protocol, { priority: "bulk" });
    return new Transfer(stream.writable, incoming.promise);
  }

  /** Random bytes, so that none of them can stand for another. */
  async write(megabytes: number): Promise<void> {
    for (let i = 0; i < megabytes; i++) await this.writeBytes(randomBytes(1_000_000));
  }

  async writeBytes(bytes: Uint8Array): Promise<void> {
    this.#sent.update(bytes);
    await this.#writer.write(bytes);
  }

  /** Resolves when so many bytes have come in all. */
  async arrived(bytes: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#listener = () => {
        if (this.bytesReceived >= bytes) resolve();
      };
      this.#listener();
    });
  }

  /** SHA-256 of what has come so far, hex. */
  get digest(): string {
    return this.#came.copy().digest("hex");
  }

  /** The whole of it, nothing lost and nothing repeated. */
  async finish(): Promise<void> {
    await this.#writer.close();
    expect(await this.received).toBe(this.#sent.digest("hex"));
  }

  async #read(incoming: Promise<Stream>): Promise<string> {
    for await (const bytes of (await incoming).readable) {
      this.#came.update(bytes);
      this.bytesReceived += bytes.length;
      this.#listener();
    }
    return this.digest;
  }
}

export async function readAll(stream: Stream): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const bytes of stream.readable) chunks.push(bytes);
  return Buffer.concat(chunks);
}

/** Sends bytes to the peer's own echo and compares. */
export async function checkEcho(session: Session, bytes: Uint8Array): Promise<void> {
  const stream = await session.open("ping/1");
  const writer = stream.writable.getWriter();
  const [back] = await Promise.all([readAll(stream), writer.write(bytes).then(() => writer.close())]);
  expect(back.equals(bytes)).toBe(true);
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "none",
    (error: unknown) =>
      error instanceof Error && "code" in error ? String(error.code) : `untyped: ${String(error)}`,
  );
}
