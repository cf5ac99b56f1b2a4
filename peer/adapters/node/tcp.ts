/**
 * TCP, and the one port that takes both TCP and WebSocket: an HTTP request line in the first bytes means WebSocket.
 */
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { WebSocketServer } from "ws";
import { giveBack } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { ByteSocket, Listener, TcpHost } from "../../runtime.ts";
import { joinPooled, plainView } from "./memory.ts";
import { messageSocket, SOCKET_OPTIONS } from "./websocket.ts";

const CONNECT_TIMEOUT_MS = 10_000;
/** A stranger has said something by then, or is cut. */
const FIRST_BYTES_TIMEOUT_MS = 10_000;
/** Strangers who have said nothing yet; past that new ones are cut. */
const SILENT_MAX = 256;
const HTTP_REQUEST = "GET ";
/** Deno reads into one buffer again and again; Node makes a new one for every read. */
const readsAreShared = "Deno" in globalThis;

type Accept = Parameters<TcpHost["listen"]>[1];

export const nodeTcp: TcpHost = {
  connect({ host, port }, signal) {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 });
      const fail = (why: string, cause?: unknown): void => {
        socket.destroy();
        reject(new PeerloomError("link/failed", `${host}:${port} cannot be reached: ${why}.`, { cause }));
      };
      const abort = (): void => {
        socket.destroy();
        reject(signal.reason as Error);
      };
      const timer = setTimeout(() => fail("no answer"), CONNECT_TIMEOUT_MS);
      const refused = (error: Error): void => fail(error.message, error);
      socket.once("error", refused);
      socket.once("close", () => clearTimeout(timer));
      signal.addEventListener("abort", abort, { once: true });
      socket.once("connect", () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
        socket.off("error", refused);
        resolve(byteSocket(socket));
      });
    });
  },

  listen({ host, port }, accept) {
    const websockets = new WebSocketServer({ noServer: true, ...SOCKET_OPTIONS });
    const http = createHttpServer((_request, response) => {
      response
        .writeHead(426, { Connection: "close" })
        .end("This is a peerloom peer: WebSocket or TCP only.\n");
    });
    const silent = new Map<Socket, () => void>();
    http.on("upgrade", (request, socket, head) => {
      silent.get(request.socket)?.();
      websockets.handleUpgrade(request, socket, head, (websocket) => {
        accept.websocket(
          messageSocket(websocket, request.socket.remoteAddress ?? "", request.socket.remoteAddress),
        );
      });
    });
    const server = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 },
      (socket) => {
        if (silent.size >= SILENT_MAX) socket.destroy();
        else sniff(socket, silent, http, accept);
      },
    );
    return new Promise((resolve, reject) => {
      server.once("error", (cause) => {
        reject(
          new PeerloomError("link/failed", `Cannot listen on ${host}:${port}: ${cause.message}.`, { cause }),
        );
      });
      server.listen({ host, port }, () => resolve(listener(server, http, silent, host)));
    });
  },
};

/** Reads the first bytes and decides what the stranger speaks. `silent` has what takes a stranger out of it. */
function sniff(socket: Socket, silent: Map<Socket, () => void>, http: HttpServer, accept: Accept): void {
  const timer = setTimeout(() => socket.destroy(), FIRST_BYTES_TIMEOUT_MS);
  timer.unref();
  const ignore = (): void => {};
  socket.on("error", ignore);
  const over = (): void => {
    clearTimeout(timer);
    silent.delete(socket);
  };
  silent.set(socket, over);
  socket.once("close", over);
  socket.once("data", (first: Buffer) => {
    socket.off("error", ignore);
    socket.pause();
    if (first.toString("latin1", 0, HTTP_REQUEST.length) === HTTP_REQUEST) {
      // Silent until it has upgraded: the HTTP server, which does not listen itself, would wait for ever.
      socket.unshift(first);
      http.emit("connection", socket);
      socket.resume();
      return;
    }
    over();
    socket.off("close", over);
    accept.tcp(byteSocket(socket), plainView(first));
    socket.resume();
  });
}

function byteSocket(socket: Socket): ByteSocket {
  let failure: PeerloomError | undefined;
  let onData: ByteSocket["onData"] | undefined;
  const wrapped: ByteSocket = {
    remoteHost: socket.remoteAddress,
    remoteAddress: `${socket.remoteAddress ?? ""}:${socket.remotePort ?? ""}`,
    write(parts) {
      if (socket.destroyed) return;
      const { bytes, written } = joinPooled(parts);
      // Called in any case; memory of a failed write is left to the collector.
      const after = (error: Error | null | undefined): void => {
        if (!error) written?.();
      };
      socket.write(bytes, written && after);
    },
    get bufferedBytes() {
      return socket.writableLength;
    },
    close: () => void socket.end(),
    destroy: () => void socket.destroy(),
    get onData() {
      return onData ?? (() => {});
    },
    set onData(handler) {
      // Without a listener the socket does not read: nothing comes in before somebody takes it.
      if (onData === undefined) {
        socket.on("data", (bytes: Buffer) => {
          wrapped.onData(plainView(bytes));
          if (!readsAreShared) giveBack(bytes);
        });
      }
      onData = handler;
    },
    onDrain: () => {},
    onClose: () => {},
  };
  socket.on("drain", () => wrapped.onDrain());
  socket.on("end", () => socket.end());
  socket.on("error", (cause) => {
    failure = new PeerloomError("link/failed", `The TCP connection failed: ${cause.message}.`, { cause });
  });
  socket.on("close", () => wrapped.onClose(failure));
  return wrapped;
}

function listener(
  server: Server,
  http: HttpServer,
  silent: ReadonlyMap<Socket, unknown>,
  host: string,
): Listener {
  const { address, port } = server.address() as AddressInfo;
  return {
    host: address,
    port,
    addresses: () =>
      hostsOf(host, address).map((each) => `tcp://${each.includes(":") ? `[${each}]` : each}:${port}`),
    close() {
      http.close();
      for (const socket of silent.keys()) socket.destroy();
      return new Promise((resolve) => {
        // Sockets that became links are theirs; the port is free at once, so nobody waits for them.
        server.close();
        setImmediate(resolve);
      });
    },
  };
}

/** What others may dial: the host itself, or the address of every interface. */
function hostsOf(host: string, bound: string): string[] {
  if (bound !== "0.0.0.0" && bound !== "::") return [host === "localhost" ? bound : host];
  const hosts: string[] = [];
  let loopback = "127.0.0.1";
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, family, internal, scopeid } of addresses ?? []) {
      if (bound === "0.0.0.0" && family !== "IPv4") continue;
      if (internal) {
        if (family === "IPv4") loopback = address;
      } else if (!scopeid) hosts.push(address);
    }
  }
  // Last, for peers on the same machine.
  return [...hosts, loopback];
}
