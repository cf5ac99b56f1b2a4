/** A local port whose connections go to a port that another peer exposes. */
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import { type PeerId, short } from "../../../shared/ids.ts";
import type { PlainSocket, SocketListener } from "../../runtime.ts";
import type { Stream } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import { carry } from "./connection.ts";
import { Connections } from "./connections.ts";
import { ACCEPTED, encodePortRequest, type PortRequest, PORTS_PROTOCOL, readExactly } from "./protocol.ts";

/** The other side connects within 10 s or says that it cannot; its session may have to move meanwhile. */
const ANSWER_TIMEOUT_MS = 20_000;

export interface ForwardOptions {
  readonly host: ServiceHost;
  readonly peerId: PeerId;
  readonly target: string;
  onClose(forward: Forward): void;
}

/** Events: `connection` and `end` (CustomEvent<PortConnection>). */
export class Forward extends Connections {
  readonly peerId: PeerId;
  readonly target: string;
  readonly #options: ForwardOptions;
  #listener: SocketListener | undefined;

  constructor(options: ForwardOptions) {
    super();
    this.#options = options;
    this.peerId = options.peerId;
    this.target = options.target;
  }

  /** `HOST:PORT` where it takes connections. */
  get listen(): string {
    const { host = "", port = 0 } = this.#listener ?? {};
    return `${host.includes(":") ? `[${host}]` : host}:${port}`;
  }

  /** Asks the other peer first, so that what cannot work is told at once. @throws PeerloomError as `Ports.forward` */
  async start(where: { readonly host: string; readonly port: number }, signal: AbortSignal): Promise<void> {
    const { sockets } = this.#options.host.runtime;
    if (sockets === undefined)
      throw new PeerloomError("usage/invalid", "This host has no sockets: forward ports from Node or Deno.");
    const stream = await this.#request("ask", signal);
    stream.reset("stream/cancelled");
    this.#listener = await sockets.listen(where, (socket) => void this.#take(socket));
  }

  /** Takes no more, ends its connections; resolves when none is left. Twice is harmless. */
  override async close(): Promise<void> {
    this.#options.onClose(this);
    await Promise.all([super.close(), this.#listener?.close()]);
  }

  async #take(socket: PlainSocket): Promise<void> {
    await this.track(this.peerId, async (stand, signal) => {
      const onAbort = (): void => socket.reset();
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        if (this.isFull) throw new PeerloomError("ports/busy", "Too many connections are open.");
        const stream = await this.#request("connect", signal);
        stand();
        await carry(stream, socket);
      } catch (error) {
        socket.reset();
        throw error;
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    });
  }

  /** A stream that the other side has accepted. One that was started again meanwhile is asked again: nothing has been said yet. */
  async #request(kind: PortRequest["kind"], signal: AbortSignal): Promise<Stream> {
    try {
      return await this.#requestOnce(kind, signal);
    } catch (error) {
      const { code } = toPeerloomError(error, "stream/reset", "The connection failed.");
      if (code !== "session/lost" && code !== "session/replaced") throw error;
      return this.#requestOnce(kind, signal);
    }
  }

  async #requestOnce(kind: PortRequest["kind"], signal: AbortSignal): Promise<Stream> {
    const { host, peerId, target } = this.#options;
    const session = await host.connect(peerId, { signal });
    const stream = await session.open(PORTS_PROTOCOL, { signal });
    const giveUp = (): void => stream.reset("stream/cancelled");
    signal.addEventListener("abort", giveUp, { once: true });
    const timer = host.runtime.clock.setTimer(ANSWER_TIMEOUT_MS, () => stream.reset("link/timeout"));
    try {
      const writer = stream.writable.getWriter();
      await writer.write(encodePortRequest({ kind, target }));
      writer.releaseLock();
      const [answer] = await readExactly(stream.readable, 1);
      if (answer !== ACCEPTED) throw new PeerloomError("wire/malformed", "The other side gave no answer.");
      return stream;
    } catch (error) {
      stream.reset("stream/cancelled");
      throw this.#refusal(error);
    } finally {
      timer.cancel();
      signal.removeEventListener("abort", giveUp);
    }
  }

  #refusal(error: unknown): PeerloomError {
    const cause = toPeerloomError(error, "stream/reset", "The connection failed.");
    const { peerId, target } = this;
    const code = cause.code === "stream/no-handler" ? "ports/not-exposed" : cause.code;
    const reasons: { readonly [code: string]: string } = {
      "ports/not-exposed": `does not expose ${target}. Have it run: peerloom expose ${target}`,
      "ports/refused": "has not allowed this peer. Have it run expose with --allow and this peer's id",
      "ports/unavailable": `exposes ${target}, but nothing answers there. Start the program behind it`,
      "ports/busy": "has too many connections open. Close some",
    };
    const reason = reasons[code];
    return reason === undefined ? cause : new PeerloomError(code, `${short(peerId)} ${reason}.`, { cause });
  }
}
