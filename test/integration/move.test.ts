/** A session outlives its paths: what carries it is cut, frozen or restarted in the middle of a transfer. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import type { Peer, Session } from "../../peer/node.ts";
import { freePort, openEdge, openPeer, openPeerOn, pathOf, Transfer } from "./peers.ts";

/** Stands between two peers and can be cut or fall silent. */
class Wire {
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#join(socket));
  #port = 0;
  #target = { host: "", port: 0 };
  #silent = false;
  #down = false;

  static async open(): Promise<Wire> {
    const wire = new Wire();
    wire.#server.listen(0, "127.0.0.1");
    await once(wire.#server, "listening");
    wire.#port = (wire.#server.address() as AddressInfo).port;
    onTestFinished(() => {
      wire.cut();
      wire.#server.close();
    });
    return wire;
  }

  /** Where to dial instead of `target`. */
  through(target: { readonly host: string; readonly port: number }): { host: string; port: number } {
    this.#target = target;
    return { host: "127.0.0.1", port: this.#port };
  }

  cut(): void {
    this.#down = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#down = false;
  }

  /** Sockets stay, and nothing comes through any more: a black hole. */
  freeze(): void {
    this.#silent = true;
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  #join(socket: Socket): void {
    if (this.#down) {
      socket.destroy();
      return;
    }
    const other = connect(this.#target);
    for (const [from, to] of [
      [socket, other],
      [other, socket],
    ] as const) {
      this.#sockets.add(from);
      if (!this.#silent) from.pipe(to);
      from.on("error", () => {});
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}

/** Two peers whose only direct path is a wire that the test holds; the session has moved to it. */
async function onWire(edgeUrl: string): Promise<{ wire: Wire; receiver: Peer; session: Session }> {
  const wire = await Wire.open();
  const receiver = await openPeer({ edge: edgeUrl, listen: "127.0.0.1:0", webrtc: false });
  const dialler = await openPeerOn(
    ({ tcp }) => ({
      tcp: tcp && { ...tcp, connect: (address, signal) => tcp.connect(wire.through(address), signal) },
    }),
    { edge: edgeUrl },
  );
  const session = await dialler.connect(receiver.id);
  await pathOf(session, (path) => path.transport === "tcp");
  return { wire, receiver, session };
}

test("the direct path is cut: on over the relay, and back to direct", async () => {
  const edge = await openEdge();
  const { wire, receiver, session } = await onWire(edge.url);
  const transfer = await Transfer.begin(session, receiver);
  await transfer.write(30);
  const rest = transfer.write(40);
  await transfer.arrived(30_000_000);
  wire.cut();
  await pathOf(session, (path) => path.kind === "relay");
  await rest;
  await transfer.arrived(65_000_000);
  wire.mend();
  await pathOf(session, (path) => path.transport === "tcp");
  await transfer.write(30);
  await transfer.finish();
  const by = receiver.sessions()[0]?.bytesReceived;
  expect(by?.direct).toBeGreaterThan(50_000_000);
  expect(by?.relay).toBeGreaterThan(30_000_000);
});

test("the direct path is cut four times in one transfer", async () => {
  const edge = await openEdge();
  const { wire, receiver, session } = await onWire(edge.url);
  const transfer = await Transfer.begin(session, receiver);
  for (let round = 1; round <= 4; round++) {
    const writing = transfer.write(10);
    await transfer.arrived(round * 10_000_000 - 8_000_000);
    wire.cut();
    await pathOf(session, (path) => path.kind === "relay");
    wire.mend();
    await writing;
    await pathOf(session, (path) => path.transport === "tcp");
  }
  await transfer.finish();
});

test("the direct path falls silent: on over the relay within 3.5 s", async () => {
  const edge = await openEdge();
  const { wire, receiver, session } = await onWire(edge.url);
  const transfer = await Transfer.begin(session, receiver);
  await transfer.write(30);
  const rest = transfer.write(70);
  await transfer.arrived(30_000_000);
  wire.freeze();
  const frozenAt = performance.now();
  await pathOf(session, (path) => path.kind === "relay");
  const seen = transfer.bytesReceived;
  await transfer.arrived(seen + 1_000_000);
  expect(performance.now() - frozenAt).toBeLessThan(3_500);
  await rest;
  await transfer.finish();
});

test("the edge restarts in the middle of a direct transfer: nothing happens to it", async () => {
  const port = await freePort();
  const edge = await openEdge(port);
  const { receiver, session } = await onWire(edge.url);
  const paths: string[] = [];
  session.addEventListener("path", () => paths.push(session.path.transport));
  const transfer = await Transfer.begin(session, receiver);
  await transfer.write(40);
  await Promise.all([edge.stop(), transfer.write(30)]);
  await Promise.all([openEdge(port), transfer.write(30)]);
  await transfer.finish();
  expect(paths).toEqual([]);
});

test("the edge restarts in the middle of a relayed transfer: on when it is back", async () => {
  const port = await freePort();
  const edge = await openEdge(port);
  const receiver = await openPeer({ edge: edge.url, only: "relay" });
  const dialler = await openPeer({ edge: edge.url, only: "relay" });
  const session = await dialler.connect(receiver.id);
  const transfer = await Transfer.begin(session, receiver);
  await transfer.write(30);
  const rest = transfer.write(70);
  await transfer.arrived(30_000_000);
  await edge.stop();
  await pathOf(session, (path) => path.kind === "none");
  await openEdge(port);
  await rest;
  await transfer.finish();
  expect(dialler.sessions()).toEqual([session]);
});
