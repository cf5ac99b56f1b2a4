/**
 * TCP ports between peers: `expose` offers one of this machine's to others, `forward` brings one of theirs here. Nothing is
 * reachable that was not exposed, and nobody reaches it who was not named.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import { requirePeerId } from "../../../shared/ids.ts";
import { parseListenAddress } from "../../links/address.ts";
import type { Session, Stream } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import { ACCEPTED, isName, isTarget, PORTS_PROTOCOL, readPortRequest } from "./protocol.ts";
import { Exposure } from "./exposure.ts";
import { Forward } from "./forward.ts";

/** A stranger has said what it wants by then. */
const REQUEST_TIMEOUT_MS = 10_000;
const PORT_MAX = 65_535;

export interface ExposeOptions {
  /** Ids of the peers that may connect. */
  readonly allow?: readonly string[];
  /** Every peer of the network may connect. One of the two must be said. @default false */
  readonly public?: boolean;
  /** Where the program listens, as seen from here. @default "127.0.0.1" */
  readonly host?: string;
  /** Another way to ask for it: a small letter, then at most 63 of `a-z 0-9 . _ -`. */
  readonly name?: string;
}

export interface ForwardPortOptions {
  /** `HOST:PORT` here; port 0 lets the system choose. Who can reach it reaches the other peer's port. @default "127.0.0.1:0" */
  readonly listen?: string;
  readonly signal?: AbortSignal;
}

export class Ports {
  readonly #host: ServiceHost;
  readonly #exposures = new Set<Exposure>();
  readonly #forwards = new Set<Forward>();
  readonly #closing = new AbortController();
  #stopServing: (() => void) | undefined;

  constructor(host: ServiceHost) {
    this.#host = host;
  }

  /**
   * Lets others connect to a TCP port that is reachable from here, until it is closed.
   * @param port 1 to 65,535
   * @throws PeerloomError `usage/invalid`, `id/invalid`, `peer/closed`
   * @example
   * const exposure = peer.ports.expose(8080, { allow: [friend] });
   */
  expose(port: number, options: ExposeOptions): Exposure {
    const { sockets } = this.#host.runtime;
    const { host = "127.0.0.1", name, allow = [] } = options;
    const isPublic = options.public === true;
    this.#checkOpen();
    if (sockets === undefined) throw invalid("This host has no sockets: expose ports from Node or Deno.");
    if (!Number.isSafeInteger(port) || port < 1 || port > PORT_MAX)
      throw invalid(`A port is a whole number from 1 to ${PORT_MAX}, not ${port}.`);
    if (name !== undefined && !isName(name))
      throw invalid(`"${name.slice(0, 80)}" is no name: a small letter, then at most 63 of a-z 0-9 . _ -`);
    if (isPublic === allow.length > 0)
      throw invalid(
        "Say who may connect: either allow with their ids, or public for everybody in the network.",
      );
    for (const other of this.#exposures) {
      if ((name !== undefined && other.name === name) || (other.port === port && other.host === host))
        throw invalid(`${name ?? port} is exposed already. Close that, or choose another name.`);
    }
    const exposure = new Exposure({
      sockets,
      host,
      port,
      name,
      allow: isPublic ? undefined : new Set(allow.map(requirePeerId)),
      onClose: (closed) => this.#exposures.delete(closed),
    });
    this.#exposures.add(exposure);
    this.#stopServing ??= this.#host.handle(PORTS_PROTOCOL, (stream, session) =>
      this.#serve(stream, session),
    );
    return exposure;
  }

  /**
   * Takes connections here and carries them to a port that another peer exposes.
   * @param target its port or its name
   * @throws PeerloomError `ports/not-exposed`, `ports/refused`, `link/failed` (the local port is taken), `usage/invalid`, `id/invalid`,
   * `peer/closed`, `aborted`, and those of `connect`
   * @example
   * const forward = await peer.ports.forward(id, 8080);
   * await fetch(`http://${forward.listen}/`);
   */
  async forward(id: string, target: number | string, options: ForwardPortOptions = {}): Promise<Forward> {
    const peerId = requirePeerId(id);
    const { listen = "127.0.0.1:0", signal } = options;
    const name = String(target);
    const where = parseListenAddress(listen);
    this.#checkOpen();
    if (!isTarget(name)) throw invalid(`"${name.slice(0, 80)}" is neither a port nor the name of one.`);
    const forward = new Forward({
      host: this.#host,
      peerId,
      target: name,
      onClose: (closed) => this.#forwards.delete(closed),
    });
    const until =
      signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]);
    await forward.start(where, until);
    this.#forwards.add(forward);
    if (until.aborted) {
      await forward.close();
      until.throwIfAborted();
    }
    return forward;
  }

  async close(): Promise<void> {
    this.#closing.abort(closed());
    this.#stopServing?.();
    await Promise.all([...this.#exposures, ...this.#forwards].map((each) => each.close()));
  }

  async #serve(stream: Stream, session: Session): Promise<void> {
    const { peerId } = session;
    const timer = this.#host.runtime.clock.setTimer(REQUEST_TIMEOUT_MS, () => stream.reset("link/timeout"));
    const { kind, target } = await readPortRequest(stream.readable).finally(() => timer.cancel());
    const allowed = [...this.#exposures].filter((exposure) => exposure.allows(peerId));
    const exposure = allowed.find(({ name, port }) => name === target || String(port) === target);
    if (exposure === undefined) {
      // Who is allowed nothing is not told what there is.
      const isStranger = allowed.length === 0 && this.#exposures.size > 0;
      const code = isStranger ? "ports/refused" : "ports/not-exposed";
      throw new PeerloomError(code, `${target} is not for that peer.`);
    }
    if (kind === "connect") return exposure.serve(stream, peerId);
    const writer = stream.writable.getWriter();
    await writer.write(Uint8Array.of(ACCEPTED));
    await writer.close();
    await stream.readable.cancel();
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw closed();
  }
}

function invalid(message: string): PeerloomError {
  return new PeerloomError("usage/invalid", message);
}

function closed(): PeerloomError {
  return new PeerloomError("peer/closed", "This peer is closed.");
}
