/** A WebSocket proxy before an edge: records every message, both ways, and changes what a test tells it to. */
import { once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { onTestFinished } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { type EmbeddedEdge, startEmbeddedEdge } from "../../infra/embedded-edge.ts";

export type Direction = "to-edge" | "to-peer";

export interface Recorded {
  readonly connection: number;
  readonly path: string;
  readonly direction: Direction;
  readonly bytes: Buffer;
}

/** What goes on instead; undefined: nothing. */
export type Change = (
  message: Recorded,
  isBinary: boolean,
) => Promise<Buffer | undefined> | Buffer | undefined;

export class WebSocketProxy {
  readonly recorded: Recorded[] = [];
  /** Paths with their queries, one for each socket. */
  readonly opened: string[] = [];
  url = "";
  change: Change = ({ bytes }) => bytes;
  #target = "";
  readonly #sockets = new Set<WebSocket>();
  readonly #accept = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  readonly #server = createServer((incoming, response) => {
    this.#record(this.opened.length, incoming.url ?? "", "to-edge", Buffer.from(incoming.url ?? ""));
    request(`${this.#target}${incoming.url}`, { method: incoming.method ?? "GET" }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    })
      .on("error", () => response.destroy())
      .end();
  });

  /** The proxy and an edge behind it that takes joins signed for the proxy's origin. */
  static async open(vars: Readonly<Record<string, string>> = {}): Promise<WebSocketProxy> {
    const proxy = new WebSocketProxy();
    proxy.#server.on("upgrade", (incoming, socket, head) => proxy.#upgrade(incoming, socket, head));
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    proxy.url = `http://127.0.0.1:${(proxy.#server.address() as AddressInfo).port}`;
    const edge: EmbeddedEdge = await startEmbeddedEdge({
      host: "127.0.0.1",
      port: 0,
      vars: { ...vars, PUBLIC_ORIGINS: proxy.url },
    });
    proxy.#target = edge.url;
    onTestFinished(async () => {
      for (const socket of proxy.#sockets) socket.terminate();
      proxy.#server.closeAllConnections();
      proxy.#server.close();
      await edge.stop();
    });
    return proxy;
  }

  /** Of the edge behind it. */
  get target(): string {
    return this.#target;
  }

  /** All that went one way through one kind of socket, as one run of bytes: what spans messages is found too. */
  runs(): Buffer[] {
    const runs = new Map<string, Buffer[]>();
    for (const { connection, direction, bytes } of this.recorded) {
      const key = `${connection} ${direction}`;
      runs.set(key, [...(runs.get(key) ?? []), bytes]);
    }
    return [...runs.values()].map((run) => Buffer.concat(run));
  }

  #upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer): void {
    const path = incoming.url ?? "";
    const connection = this.opened.push(path) - 1;
    const upstream = new WebSocket(`${this.#target.replace("http", "ws")}${path}`, {
      perMessageDeflate: false,
    });
    upstream.on("error", () => socket.destroy());
    upstream.once("open", () => {
      this.#accept.handleUpgrade(incoming, socket, head, (peer) => {
        this.#carry(peer, upstream, connection, path, "to-edge");
        this.#carry(upstream, peer, connection, path, "to-peer");
        upstream.resume();
      });
    });
    upstream.on("upgrade", () => upstream.pause());
  }

  #carry(from: WebSocket, to: WebSocket, connection: number, path: string, direction: Direction): void {
    this.#sockets.add(from);
    let last = Promise.resolve();
    from.on("message", (data: Buffer, isBinary) => {
      const message = this.#record(connection, path, direction, data);
      last = last.then(async () => {
        const bytes = await this.change(message, isBinary);
        if (bytes !== undefined && to.readyState === WebSocket.OPEN) to.send(bytes, { binary: isBinary });
      });
    });
    from.on("error", () => {});
    from.on("close", (code, reason) => {
      this.#sockets.delete(from);
      const mayBeSent = code >= 3000 || code === 1000 || (code >= 1007 && code <= 1014);
      void last.then(() => (mayBeSent ? to.close(code, reason) : to.terminate()));
    });
  }

  #record(connection: number, path: string, direction: Direction, bytes: Buffer): Recorded {
    const message = { connection, path, direction, bytes };
    this.recorded.push(message);
    return message;
  }
}
