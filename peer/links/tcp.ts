/**
 * TCP as a link. Each side sends eight bytes of magic first, so that a stranger's protocol is told apart at once; then
 * every frame has its length before it.
 */
import { equalBytes, utf8, writeUint32 } from "../../shared/bytes.ts";
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { FRAME_BYTES_MAX } from "../../shared/limits.ts";
import type { ByteSocket, Runtime } from "../runtime.ts";
import { BaseLink } from "./base-link.ts";
import { FrameAssembler, LENGTH_BYTES } from "./frame-assembler.ts";
import type { Link } from "./link.ts";

/** Sent first by both sides. The last byte is the version of this framing. */
export const TCP_MAGIC: Uint8Array = utf8("ploom/t1");

/** @throws PeerloomError `link/failed`, `link/unavailable`, `aborted` */
export async function dialTcp(
  runtime: Runtime,
  address: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<Link> {
  if (runtime.tcp === undefined) throw new PeerloomError("link/unavailable", "This host has no TCP.");
  return new TcpLink(await runtime.tcp.connect(address, signal));
}

/** Makes a link of a connected socket; `firstBytes` were read from it before. */
export function tcpLink(socket: ByteSocket, firstBytes: Uint8Array = new Uint8Array(0)): Link {
  const link = new TcpLink(socket);
  if (firstBytes.length > 0) socket.onData(firstBytes);
  return link;
}

class TcpLink extends BaseLink {
  readonly #socket: ByteSocket;
  readonly #assembler = new FrameAssembler(FRAME_BYTES_MAX);
  readonly #magic = new Uint8Array(TCP_MAGIC.length);
  #magicBytes = 0;
  #closing = false;

  constructor(socket: ByteSocket) {
    const { remoteAddress, remoteHost } = socket;
    super({ kind: "tcp", description: `tcp ${remoteAddress}`, remoteHost });
    this.#socket = socket;
    socket.onData = (bytes) => this.#read(bytes);
    socket.onDrain = () => this.onDrain();
    socket.onClose = (error) => this.end(this.#closing ? undefined : error);
    socket.write([TCP_MAGIC]);
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedBytes;
  }

  send(parts: readonly Uint8Array[]): void {
    if (this.#closing || this.isEnded) return;
    let length = 0;
    for (const part of parts) length += part.length;
    const head = new Uint8Array(LENGTH_BYTES);
    writeUint32(head, 0, length);
    this.#socket.write([head, ...parts]);
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#socket.close();
  }

  destroy(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  #read(bytes: Uint8Array): void {
    try {
      const rest = this.#magicBytes < TCP_MAGIC.length ? this.#readMagic(bytes) : bytes;
      this.#assembler.add(rest, (frame) => this.receiveFrame(frame));
    } catch (error) {
      this.end(toPeerloomError(error, "wire/malformed", "Not peerloom's framing."));
      this.destroy();
    }
  }

  #readMagic(bytes: Uint8Array): Uint8Array {
    const count = Math.min(TCP_MAGIC.length - this.#magicBytes, bytes.length);
    this.#magic.set(bytes.subarray(0, count), this.#magicBytes);
    this.#magicBytes += count;
    if (!equalBytes(this.#magic.subarray(0, this.#magicBytes), TCP_MAGIC.subarray(0, this.#magicBytes))) {
      throw new PeerloomError("wire/malformed", "The other side does not speak peerloom.");
    }
    return bytes.subarray(count);
  }
}
