/**
 * The yardstick of the relay: an object that passes every message of one socket to the other and does nothing else, with the
 * hibernation API and no compression. Objects have no backpressure, so the ends keep to a
 * window: the receiver says what it has taken. Its clients do not mask either: that would halve the ceiling.
 */
import { WebSocket } from "ws";
import { CLIENT_OPTIONS } from "../../../peer/adapters/node/websocket.ts";
import { startBareWorker } from "../lib/bare-worker.ts";
import type { Conn, Stack } from "../lib/stack.ts";

const WORKER = `
import { DurableObject } from "cloudflare:workers";
export class Pair extends DurableObject {
  async fetch() {
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    const all = this.ctx.getWebSockets();
    if (all.length === 2) for (const each of all) each.send("ready");
    return new Response(null, { status: 101, webSocket: client });
  }
  webSocketMessage(socket, message) {
    for (const other of this.ctx.getWebSockets()) if (other !== socket) other.send(message);
  }
  webSocketClose(socket) {
    for (const other of this.ctx.getWebSockets()) if (other !== socket) other.close(1000);
  }
}
export default {
  fetch: (request, env) => env.PAIR.get(env.PAIR.idFromName(new URL(request.url).pathname)).fetch(request),
};`;

/** Bytes under way before the other end has said it took them. */
const WINDOW_BYTES = 4 * 1024 * 1024;
const ACK_EVERY_BYTES = 256 * 1024;
const READY_MS_MAX = 10_000;

export function createStack(): Stack {
  let edge = "";
  let lobby: WebSocket | undefined;
  let dials = 0;
  let stop = (): Promise<void> => Promise.resolve();
  return {
    stop: () => stop(),
    async helper() {
      const worker = await startBareWorker(WORKER, { PAIR: "Pair" });
      stop = () => worker.stop();
      return worker.origin.replace("http", "ws");
    },
    async listen(accept, helper) {
      const calls = openSocket(`${helper}/lobby`);
      calls.on("message", (name: Buffer, isBinary) => {
        const text = name.toString();
        if (isBinary || text === "ready") return;
        // The dialler waits for "ready" on that pair, and its first message may come right behind.
        accept(relayConn(openSocket(`${helper}/${text}`)));
      });
      await opened(calls);
      return helper;
    },
    async prepare(_address, helper) {
      edge = helper;
      lobby = openSocket(`${edge}/lobby`);
      await ready(lobby);
    },
    async dial() {
      const name = `pair-${(dials += 1)}`;
      const socket = openSocket(`${edge}/${name}`);
      lobby?.send(name);
      await ready(socket);
      return relayConn(socket);
    },
  };
}

function openSocket(url: string): WebSocket {
  const socket = new WebSocket(url, CLIENT_OPTIONS);
  socket.on("error", () => {}); // The other side of a finished round is gone.
  return socket;
}

function opened(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
}

/** Both sides are there. */
function ready(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("The pair was never complete.")), READY_MS_MAX);
    socket.once("message", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function relayConn(socket: WebSocket): Conn {
  let underWay = 0;
  let taken = 0;
  let wake: (() => void) | undefined;
  const conn: Conn = {
    onData: () => {},
    write(bytes) {
      underWay += bytes.length;
      socket.send(bytes);
      return underWay < WINDOW_BYTES;
    },
    drained: () =>
      new Promise((resolve) => {
        wake = resolve;
        if (underWay < WINDOW_BYTES) resolve();
      }),
    close: () => socket.terminate(),
  };
  socket.on("message", (data: Buffer, isBinary) => {
    if (!isBinary) {
      const text = data.toString();
      if (text === "ready") return;
      underWay -= Number(text);
      if (underWay < WINDOW_BYTES) wake?.();
      return;
    }
    taken += data.length;
    if (taken >= ACK_EVERY_BYTES) {
      socket.send(String(taken));
      taken = 0;
    }
    conn.onData(data);
  });
  return conn;
}
