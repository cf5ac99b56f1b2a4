/** The browser's WebSocket. It has no event for a drained buffer, so that is looked at while it is full. */
import { bufferSource, concatBytes } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { MessageSocket, WebSocketHost } from "../../runtime.ts";

const CONNECT_TIMEOUT_MS = 10_000;
const BUFFER_LOW_BYTES: number = 256 * 1024;
const LOOK_EVERY_MS = 4;
/** The one code for a normal end that a page may send. */
const CLOSE_NORMAL = 1000;

export const browserWebSocket: WebSocketHost = {
  connect(url, signal) {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const socket = new WebSocket(url);
      socket.binaryType = "arraybuffer";
      const fail = (error: unknown): void => {
        over();
        socket.close();
        reject(error as Error);
      };
      const failed = (): void => {
        fail(new PeerloomError("link/failed", `${new URL(url).host} cannot be reached, or refused.`));
      };
      const abort = (): void => fail(signal.reason);
      const timer = setTimeout(failed, CONNECT_TIMEOUT_MS);
      const over = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
        socket.removeEventListener("error", failed);
      };
      signal.addEventListener("abort", abort, { once: true });
      socket.addEventListener("error", failed);
      // Made before the socket opens: the edge speaks first, and what it says must find a listener.
      const wrapped = messageSocket(socket, url);
      socket.addEventListener("open", () => {
        over();
        resolve(wrapped);
      });
    });
  },
};

function messageSocket(socket: WebSocket, remoteAddress: string): MessageSocket {
  let looking: ReturnType<typeof setInterval> | undefined;
  let onMessage: MessageSocket["onMessage"] | undefined;
  const early: Uint8Array[] = [];
  const look = (): void => {
    if (socket.bufferedAmount > BUFFER_LOW_BYTES && socket.readyState === WebSocket.OPEN) return;
    clearInterval(looking);
    looking = undefined;
    wrapped.onDrain();
  };
  const wrapped: MessageSocket = {
    remoteAddress,
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    send(parts) {
      if (socket.readyState !== WebSocket.OPEN) return;
      socket.send(bufferSource(concatBytes(...parts)));
      if (socket.bufferedAmount > BUFFER_LOW_BYTES) looking ??= setInterval(look, LOOK_EVERY_MS);
    },
    sendText(text) {
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    close(code = CLOSE_NORMAL, reason = "") {
      socket.close(code === CLOSE_NORMAL || code >= 3000 ? code : CLOSE_NORMAL, reason);
    },
    destroy() {
      socket.close();
    },
    get onMessage() {
      return onMessage ?? (() => {});
    },
    set onMessage(handler) {
      onMessage = handler;
      for (const bytes of early.splice(0)) handler(bytes);
    },
    onText: () => {},
    onDrain: () => {},
    onClose: () => {},
  };
  socket.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) => {
    if (typeof data === "string") wrapped.onText(data);
    else if (onMessage === undefined) early.push(new Uint8Array(data));
    else onMessage(new Uint8Array(data));
  });
  socket.addEventListener("close", ({ code, reason }) => {
    clearInterval(looking);
    wrapped.onClose(code, reason);
  });
  return wrapped;
}
