/** WebSockets by `ws`: the only client here that does not offer compression, which sealed bytes pay for and never use. */
import { type ClientOptions, WebSocket } from "ws";
import { giveBack } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { FRAME_BYTES_MAX } from "../../../shared/limits.ts";
import type { MessageSocket, WebSocketHost } from "../../runtime.ts";
import { joinPooled, plainView } from "./memory.ts";

const CONNECT_TIMEOUT_MS = 10_000;
const BUFFER_LOW_BYTES: number = 256 * 1024;
/** A closing handshake that does not end in this time is cut. */
const CLOSE_TIMEOUT_MS = 3_000;
/** RFC 6455, 7.4.1: a message longer than is taken. */
const CLOSE_TOO_LARGE = 1009;

export const SOCKET_OPTIONS: {
  readonly perMessageDeflate: boolean;
  readonly maxPayload: number;
  readonly closeTimeout: number;
} = {
  perMessageDeflate: false,
  maxPayload: FRAME_BYTES_MAX,
  // Else 30 s: workerd closes but does not hang up on a side that has never spoken.
  closeTimeout: CLOSE_TIMEOUT_MS,
};

/**
 * RFC 6455 section 10.3 masks what a client sends so that a script in a page cannot choose the bytes that intermediaries see. No
 * script chooses here: what is long is sealed, and sealed bytes are random. A mask of zeros saves most of a sender's time.
 */
export const CLIENT_OPTIONS: ClientOptions = {
  ...SOCKET_OPTIONS,
  generateMask: (mask) => void mask.fill(0),
};

export const nodeWebSocket: WebSocketHost = {
  connect(url, signal, { messageBytesMax = FRAME_BYTES_MAX } = {}) {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const socket = new WebSocket(url, {
        ...CLIENT_OPTIONS,
        maxPayload: messageBytesMax,
        handshakeTimeout: CONNECT_TIMEOUT_MS,
      });
      const abort = (): void => {
        socket.terminate();
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", abort, { once: true });
      let refusal = "";
      socket.once("unexpected-response", (_request, response) => {
        refusal = ` (HTTP ${response.statusCode})`;
        response.resume();
        socket.terminate();
      });
      socket.once("open", () => {
        signal.removeEventListener("abort", abort);
        resolve(messageSocket(socket, url));
      });
      socket.on("error", (cause) => {
        signal.removeEventListener("abort", abort);
        const origin = new URL(url).host;
        reject(
          new PeerloomError("link/failed", `${origin} cannot be reached${refusal}: ${cause.message}`, {
            cause,
          }),
        );
      });
    });
  },
};

/** Wraps an open socket, dialled or accepted. */
export function messageSocket(socket: WebSocket, remoteAddress: string, remoteHost?: string): MessageSocket {
  let wasHigh = false;
  let onMessage: MessageSocket["onMessage"] | undefined;
  // What comes in with the upgrade is delivered before a promise's continuation runs: it waits for its handler.
  socket.pause();
  let closeTimer: NodeJS.Timeout | undefined;
  let isTooLarge = false;
  const wrapped: MessageSocket = {
    remoteAddress,
    remoteHost,
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    send(parts) {
      if (socket.readyState !== WebSocket.OPEN) return;
      const { bytes, written } = joinPooled(parts);
      socket.send(bytes, (error) => {
        if (!error) written?.();
        if (wasHigh && socket.bufferedAmount <= BUFFER_LOW_BYTES) {
          wasHigh = false;
          wrapped.onDrain();
        }
      });
      if (socket.bufferedAmount > BUFFER_LOW_BYTES) wasHigh = true;
    },
    sendText(text) {
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    close(code, reason) {
      closeTimer ??= setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS);
      closeTimer.unref();
      socket.close(code, reason);
    },
    destroy() {
      socket.terminate();
    },
    get onMessage() {
      return onMessage ?? (() => {});
    },
    set onMessage(handler) {
      if (onMessage === undefined) setImmediate(() => socket.resume());
      onMessage = handler;
    },
    onText: () => {},
    onDrain: () => {},
    onClose: () => {},
  };
  socket.binaryType = "nodebuffer";
  socket.on("message", (data: Buffer, isBinary) => {
    if (isBinary) {
      wrapped.onMessage(plainView(data));
      giveBack(data); // Put together for this message alone, where it is long.
    } else wrapped.onText(data.toString("utf8"));
  });
  // "close" follows and tells, but 1006 where it is we who break off.
  socket.on("error", (error) => {
    isTooLarge ||= "code" in error && error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH";
  });
  socket.on("close", (code, reason) => {
    clearTimeout(closeTimer);
    wrapped.onClose(isTooLarge ? CLOSE_TOO_LARGE : code, reason.toString("utf8"));
  });
  return wrapped;
}
