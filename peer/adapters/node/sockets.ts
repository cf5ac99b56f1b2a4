/** Plain TCP as other programs use it: halves that end one after the other, resets, and waiting where the other side is slow. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { PeerloomError } from "../../../shared/errors.ts";
import type { PlainSocket, SocketHost } from "../../runtime.ts";
import { plainView } from "./memory.ts";

const CONNECT_TIMEOUT_MS = 10_000;
const SOCKET_OPTIONS = { allowHalfOpen: true, noDelay: true, keepAlive: true } as const;
/** Deno reads into one buffer again and again. */
const readsAreShared = "Deno" in globalThis;

export const nodeSockets: SocketHost = {
  connect({ host, port }, signal) {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, ...SOCKET_OPTIONS });
      const fail = (why: string, cause?: unknown): void => {
        over();
        socket.destroy();
        reject(new PeerloomError("link/failed", `${host}:${port} cannot be reached: ${why}.`, { cause }));
      };
      const refused = (error: Error): void => fail(error.message, error);
      const abort = (): void => fail("given up", signal.reason);
      const timer = setTimeout(() => fail("no answer"), CONNECT_TIMEOUT_MS);
      const over = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
      };
      socket.once("error", refused);
      signal.addEventListener("abort", abort, { once: true });
      socket.once("connect", () => {
        over();
        socket.off("error", refused);
        resolve(plainSocket(socket));
      });
      if (signal.aborted) abort();
    });
  },

  listen({ host, port }, accept) {
    const server = createServer(SOCKET_OPTIONS, (socket) => accept(plainSocket(socket)));
    return new Promise((resolve, reject) => {
      const failed = (cause: Error): void =>
        reject(
          new PeerloomError("link/failed", `Cannot listen on ${host}:${port}: ${cause.message}.`, { cause }),
        );
      server.once("error", failed);
      server.listen({ host, port }, () => {
        server.off("error", failed);
        const bound = server.address() as AddressInfo;
        resolve({
          host: bound.address,
          port: bound.port,
          close: () => new Promise((closed) => server.close(() => closed())),
        });
      });
    });
  },
};

function plainSocket(socket: Socket): PlainSocket {
  return {
    remoteAddress: `${socket.remoteAddress ?? ""}:${socket.remotePort ?? ""}`,
    readable: readableOf(socket),
    writable: writableOf(socket),
    reset() {
      if (!socket.destroyed) socket.resetAndDestroy();
    },
  };
}

function readableOf(socket: Socket): ReadableStream<Uint8Array> {
  let isOver = false;
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        socket.on("data", (bytes: Buffer) => {
          if (isOver) return;
          controller.enqueue(readsAreShared ? Uint8Array.from(bytes) : plainView(bytes));
          if ((controller.desiredSize ?? 0) <= 0) socket.pause();
        });
        socket.pause();
        socket.once("end", () => {
          if (!isOver) controller.close();
          isOver = true;
        });
        watch(socket, (error) => {
          if (!isOver) controller.error(error);
          isOver = true;
        });
      },
      pull: () => void socket.resume(),
      cancel() {
        isOver = true;
        // What still comes is for nobody; the end must still be heard.
        socket.resume();
      },
    },
    { highWaterMark: 1 },
  );
}

function writableOf(socket: Socket): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    start(controller) {
      watch(socket, (error) => controller.error(error));
    },
    write: (bytes) =>
      new Promise((resolve, reject) => {
        socket.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
    close: () =>
      new Promise((resolve) => {
        socket.once("close", resolve);
        socket.end(resolve);
      }),
    abort() {
      if (!socket.destroyed) socket.resetAndDestroy();
    },
  });
}

/** Called once, when nothing comes or goes any more. */
function watch(socket: Socket, over: (error: PeerloomError) => void): void {
  let cause: Error | undefined;
  socket.once("error", (error) => (cause = error));
  socket.once("close", () => {
    over(
      new PeerloomError("link/closed", `The connection has ended${cause ? `: ${cause.message}` : ""}.`, {
        cause,
      }),
    );
  });
}
