/** One exposed port: who may come, and the connections that are open to it. */
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { SocketHost } from "../../runtime.ts";
import type { Stream } from "../../session/contract.ts";
import { carry } from "./connection.ts";
import { Connections } from "./connections.ts";
import { ACCEPTED } from "./protocol.ts";

export interface ExposureOptions {
  readonly sockets: SocketHost;
  readonly host: string;
  readonly port: number;
  readonly name: string | undefined;
  /** Undefined: every peer of the network. */
  readonly allow: ReadonlySet<PeerId> | undefined;
  onClose(exposure: Exposure): void;
}

/** Events: `connection` and `end` (CustomEvent<PortConnection>). */
export class Exposure extends Connections {
  readonly host: string;
  readonly port: number;
  readonly name: string | undefined;
  readonly #options: ExposureOptions;

  constructor(options: ExposureOptions) {
    super();
    this.#options = options;
    this.host = options.host;
    this.port = options.port;
    this.name = options.name;
  }

  allows(peerId: PeerId): boolean {
    return this.#options.allow?.has(peerId) ?? true;
  }

  /** Connects a stream whose request was read to the port, until both have ended. Never rejects; a failure resets the stream. */
  async serve(stream: Stream, peerId: PeerId): Promise<void> {
    await this.track(peerId, async (stand, signal) => {
      const onAbort = (): void => stream.reset("ports/not-exposed");
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        signal.throwIfAborted();
        if (this.isFull) throw new PeerloomError("ports/busy", "Too many connections are open.");
        const { host, port, sockets } = this.#options;
        const socket = await sockets.connect({ host, port }, signal).catch((cause: unknown) => {
          throw new PeerloomError("ports/unavailable", `Nothing answers on ${host}:${port}.`, { cause });
        });
        const writer = stream.writable.getWriter();
        try {
          await writer.write(Uint8Array.of(ACCEPTED));
        } catch (error) {
          socket.reset();
          throw error;
        }
        writer.releaseLock();
        stand();
        await carry(stream, socket);
      } catch (error) {
        stream.reset(toPeerloomError(error, "stream/reset", "The connection failed.").code);
        throw error;
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    });
  }

  /** Ends its connections; resolves when none is left. Twice is harmless. */
  override async close(): Promise<void> {
    this.#options.onClose(this);
    await super.close();
  }
}
