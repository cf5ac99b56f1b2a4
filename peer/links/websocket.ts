/**
 * A WebSocket between two peers as a link: each binary message is a frame. Browsers dial listening peers this way.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { FRAME_BYTES_MAX } from "../../shared/limits.ts";
import type { MessageSocket, Runtime } from "../runtime.ts";
import { BaseLink } from "./base-link.ts";
import type { Link } from "./link.ts";

/** RFC 6455, 7.4.1: an orderly end. */
const CLOSE_NORMAL = 1000;
const CLOSE_TOO_LARGE = 1009;

/** @throws PeerloomError `link/failed`, `aborted` */
export async function dialWebSocket(
  runtime: Runtime,
  address: { readonly url: string },
  signal: AbortSignal,
): Promise<Link> {
  return websocketLink(await runtime.websocket.connect(address.url, signal));
}

export function websocketLink(socket: MessageSocket): Link {
  return new WebSocketLink(socket);
}

class WebSocketLink extends BaseLink {
  readonly #socket: MessageSocket;
  #closing = false;

  constructor(socket: MessageSocket) {
    const { remoteAddress, remoteHost } = socket;
    super({ kind: "websocket", description: `websocket ${remoteAddress}`, remoteHost });
    this.#socket = socket;
    socket.onMessage = (bytes) => {
      if (bytes.length <= FRAME_BYTES_MAX) this.receiveFrame(bytes);
      else this.#fail(new PeerloomError("link/frame-too-large", `A frame of ${bytes.length} bytes.`));
    };
    socket.onText = () => {};
    socket.onDrain = () => this.onDrain();
    socket.onClose = (code, reason) => {
      this.end(
        this.#closing || code === CLOSE_NORMAL
          ? undefined
          : new PeerloomError(
              code === CLOSE_TOO_LARGE ? "link/frame-too-large" : "link/failed",
              `The WebSocket closed: ${code} ${reason}`.trim(),
            ),
      );
    };
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedBytes;
  }

  send(parts: readonly Uint8Array[]): void {
    if (!this.#closing && !this.isEnded) this.#socket.send(parts);
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#socket.close(CLOSE_NORMAL);
  }

  destroy(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  #fail(error: PeerloomError): void {
    this.end(error);
    this.#socket.close(CLOSE_TOO_LARGE, error.code);
  }
}
