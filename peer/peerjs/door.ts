/**
 * A peer's door to PeerJS: an id at a PeerServer, and data connections with whoever uses the stock client there, both ways. It stands
 * beside the peer and needs none: PeerJS has ids of its own, no identities and no networks. `handle` is where the two meet.
 */
import { toHex } from "../../shared/bytes.ts";
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { withFreshConnections } from "../links/webrtc.ts";
import { abortError } from "../overlay/abort.ts";
import { IceServers } from "../overlay/ice-servers.ts";
import type { IceServer, Runtime, WebRtcHost } from "../runtime.ts";
import { Arrivals, EarlyCandidates } from "./arrivals.ts";
import { connectionStream } from "./connection-stream.ts";
import type { ConnectionHandler, PeerJsConnection, PeerJsConnectOptions, ServerState } from "./contract.ts";
import { type ConnectionTerms, DataConnection } from "./data-connection.ts";
import { DOOR_UNREAD_VALUES_MAX, NEGOTIATIONS_MAX, NEGOTIATIONS_PER_PEER_MAX } from "./limits.ts";
import { type CheckedDoorOptions, checkDoorOptions, type PeerJsDoorOptions } from "./options.ts";
import { PeerServer } from "./peer-server.ts";
import { type FromServer, isPeerJsId, signalMessage } from "./server-messages.ts";
import { isSerialization, SERIALIZATIONS } from "./serialization.ts";
import { Allowance } from "./value-queue.ts";

/** What is under way when the door is closed has this long to arrive. */
const CLOSE_WAIT_MS = 5_000;

/**
 * @example
 * await using door = await PeerJsDoor.open({ id: "printer", edge: "https://edge.example" });
 * for await (const connection of door.connections()) serve(connection);
 *
 * Events: `connection` (CustomEvent<PeerJsConnection>; `preventDefault()` says that it was taken here, and `connections()` does not give
 * it too), `server` (CustomEvent<ServerState>), `close` (nothing runs any more).
 */
export class PeerJsDoor extends EventTarget implements AsyncDisposable {
  /** PeerJS id of this door. */
  readonly id: string;
  readonly #runtime: Runtime;
  readonly #webrtc: WebRtcHost;
  readonly #options: CheckedDoorOptions;
  readonly #server: PeerServer;
  readonly #ice: IceServers | undefined;
  readonly #allowance: Allowance;
  readonly #connections = new Map<string, DataConnection>();
  readonly #early = new EarlyCandidates();
  readonly #arrivals = new Arrivals();
  readonly #handlers = new Map<string, ConnectionHandler>();
  /** The other sides of connections whose ICE servers are being fetched. */
  readonly #beginning: string[] = [];
  #closed: Promise<void> | undefined;

  /** @throws as `PeerJsDoor.open` of the entry points */
  static async openOn(runtime: Runtime, options: PeerJsDoorOptions): Promise<PeerJsDoor> {
    const checked = checkDoorOptions(options, runtime.random);
    const { webrtc } = runtime;
    if (webrtc === undefined) {
      throw new PeerloomError(
        "link/unavailable",
        "PeerJS needs WebRTC, which this host does not have: install node-datachannel, or allow FFI.",
      );
    }
    const door = new PeerJsDoor(runtime, webrtc, checked);
    try {
      await door.#server.open(options.signal);
      return door;
    } catch (error) {
      await door.close();
      throw error;
    }
  }

  private constructor(runtime: Runtime, webrtc: WebRtcHost, options: CheckedDoorOptions) {
    super();
    this.id = options.id;
    this.#runtime = runtime;
    this.#webrtc = webrtc;
    this.#options = options;
    this.#allowance = new Allowance(DOOR_UNREAD_VALUES_MAX * options.valueBytesMax);
    this.#ice = options.edge === undefined ? undefined : new IceServers(runtime, options.edge);
    this.#server = new PeerServer({
      runtime,
      url: options.url,
      server: options.server,
      id: options.id,
      onMessage: (message) => this.#receive(message),
      onState: (state) => this.#told(state),
    });
  }

  /** Whether the server is reached. Connections live on without it; new ones wait for it. */
  get isConnected(): boolean {
    return this.#server.isOpen;
  }

  /** Connections that others open, each once, to whoever asks first. Ends when the door is closed. Up to 64 wait to be taken. */
  connections(): AsyncIterable<PeerJsConnection> {
    return { [Symbol.asyncIterator]: () => ({ next: () => this.#arrivals.next() }) };
  }

  /**
   * Opens a data connection.
   * @throws PeerloomError `peer/not-found` (nobody has that id), `connect/timeout`, `link/failed`, `link/closed`, `peerjs/id-invalid`, `usage/invalid`,
   * `link/too-many`, `peer/closed`, `aborted`
   * @example
   * const connection = await door.connect("page-7", { metadata: { from: "printer" } });
   * await connection.send({ status: "ready" });
   */
  async connect(peer: string, options: PeerJsConnectOptions = {}): Promise<PeerJsConnection> {
    const { signal } = options;
    if (!isPeerJsId(peer))
      throw new PeerloomError("peerjs/id-invalid", `"${peer.slice(0, 80)}" is no PeerJS id.`);
    signal?.throwIfAborted();
    if (this.#connections.size + this.#beginning.length >= this.#options.connectionsMax)
      throw new PeerloomError(
        "link/too-many",
        `This door has ${this.#connections.size} connections. Close some.`,
      );
    const attempt = (): Promise<PeerJsConnection> => this.#connect(peer, this.#termsOf(options), signal);
    return withFreshConnections(attempt, this.#runtime, signal);
  }

  /**
   * Answers connections with a label as streams of bytes, as `peer.handle` answers streams of a protocol: the same handler can be given to
   * both. Only ordered connections (`reliable: true`) in `raw` or `binary` can be streams; others are closed.
   * @returns takes the handler away
   * @example
   * const echo = (stream) => stream.readable.pipeTo(stream.writable);
   * peer.handle("echo/1", echo);
   * door.handle("echo/1", echo); // a page: new Peer(…).connect(door.id, { label: "echo/1", serialization: "raw", reliable: true })
   */
  handle(label: string, handler: ConnectionHandler): () => void {
    this.#handlers.set(label, handler);
    return () => {
      if (this.#handlers.get(label) === handler) this.#handlers.delete(label);
    };
  }

  /** Ends every connection and gives the id back. Twice is harmless. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#arrivals.end();
    await Promise.all([...this.#connections.values()].map((each) => each.close(CLOSE_WAIT_MS)));
    await this.#server.close();
    this.dispatchEvent(new Event("close"));
  }

  async #connect(
    peer: string,
    terms: ConnectionTerms,
    signal: AbortSignal | undefined,
  ): Promise<PeerJsConnection> {
    const opened = Promise.withResolvers<void>();
    const connection = await this.#begin("offerer", peer, terms, () => opened.resolve());
    if (connection === undefined) throw closed();
    const abort = (): void => connection.fail(abortError(signal as AbortSignal));
    if (signal?.aborted === true) abort();
    signal?.addEventListener("abort", abort, { once: true });
    const ended = connection.closed.then((error) => {
      throw error ?? new PeerloomError("link/closed", "The connection was closed before it was open.");
    });
    try {
      await Promise.race([opened.promise, ended]);
      return connection;
    } finally {
      signal?.removeEventListener("abort", abort);
      ended.catch(() => {});
    }
  }

  #termsOf(options: PeerJsConnectOptions): ConnectionTerms {
    const { serialization = "binary", reliable = true, metadata } = options;
    if (!isSerialization(serialization))
      throw invalid(`serialization is one of ${SERIALIZATIONS.join(", ")}.`);
    const connectionId = `dc_${toHex(this.#runtime.random.bytes(8))}`;
    const terms = { connectionId, label: options.label ?? connectionId, metadata, serialization, reliable };
    try {
      JSON.stringify(metadata);
    } catch (cause) {
      throw toPeerloomError(cause, "usage/invalid", "The metadata cannot be written as JSON.");
    }
    return terms;
  }

  #receive(message: FromServer): void {
    if (this.#closed !== undefined) return;
    switch (message.kind) {
      case "offer":
        this.#answer(message).catch((error: unknown) => {
          this.#runtime.log.warn("peerjs offer failed", { error: String(error) });
        });
        break;
      case "signal": {
        const { src, connectionId, signal } = message;
        const connection = this.#connections.get(keyOf(src, connectionId));
        if (connection !== undefined) connection.accept(signal);
        else if (signal.kind === "candidate") this.#early.add(keyOf(src, connectionId), signal);
        break;
      }
      case "expire":
        this.#expired(message.src);
        break;
      case "leave":
        for (const connection of this.#of(message.src)) connection.fail(undefined);
        break;
      default: // of no interest, or the socket's own
    }
  }

  async #answer({ src, terms, signal }: Extract<FromServer, { kind: "offer" }>): Promise<void> {
    const key = keyOf(src, terms.connectionId);
    this.#connections.get(key)?.fail(undefined);
    const why = this.#refusal(src);
    if (why !== undefined) {
      this.#runtime.log.debug("peerjs offer refused", { why });
      return;
    }
    const connection = await this.#begin("answerer", src, terms, (opened) => this.#arrived(opened));
    if (connection === undefined) return;
    connection.accept(signal);
    for (const early of this.#early.take(key)) connection.accept(early);
  }

  /** PeerJS has no way to refuse: who is not answered gives up by itself. */
  #refusal(src: string): string | undefined {
    const all = [...this.#connections.values()];
    if (all.length + this.#beginning.length >= this.#options.connectionsMax) return "connections";
    const negotiating = all.flatMap(({ isNegotiating, peer }) => (isNegotiating ? peer : []));
    negotiating.push(...this.#beginning);
    if (negotiating.length >= NEGOTIATIONS_MAX) return "negotiations";
    const ofPeer = negotiating.filter((peer) => peer === src).length;
    return ofPeer >= NEGOTIATIONS_PER_PEER_MAX ? "negotiations of one peer" : undefined;
  }

  /** Undefined when the door was closed meanwhile. */
  async #begin(
    role: "offerer" | "answerer",
    peer: string,
    terms: ConnectionTerms,
    onOpen: (connection: DataConnection) => void,
  ): Promise<DataConnection | undefined> {
    this.#beginning.push(peer);
    try {
      const iceServers = this.#options.iceServers ?? (await this.#ice?.get()) ?? [];
      if (this.#closed !== undefined) return undefined;
      return this.#make(role, peer, terms, iceServers, onOpen);
    } finally {
      this.#beginning.splice(this.#beginning.indexOf(peer), 1);
    }
  }

  #make(
    role: "offerer" | "answerer",
    peer: string,
    terms: ConnectionTerms,
    iceServers: readonly IceServer[],
    onOpen: (connection: DataConnection) => void,
  ): DataConnection {
    const key = keyOf(peer, terms.connectionId);
    this.#connections.get(key)?.fail(undefined); // another offer of the same name came meanwhile
    const connection: DataConnection = new DataConnection({
      clock: this.#runtime.clock,
      host: this.#webrtc,
      iceServers,
      role,
      peer,
      terms,
      valueBytesMax: this.#options.valueBytesMax,
      allowance: this.#allowance,
      onSignal: (signal) => this.#server.send(signalMessage(peer, terms, signal)),
      onOpen: () => onOpen(connection),
      onEnd: (ended) => {
        if (this.#connections.get(key) === ended) this.#connections.delete(key);
      },
    });
    this.#connections.set(key, connection);
    return connection;
  }

  #arrived(connection: DataConnection): void {
    const handler = this.#handlers.get(connection.label);
    if (handler !== undefined) {
      this.#serve(connection, handler).catch((error: unknown) => {
        connection.fail(toPeerloomError(error, "stream/reset", "The handler failed."));
      });
      return;
    }
    const event = new CustomEvent<PeerJsConnection>("connection", { detail: connection, cancelable: true });
    if (this.dispatchEvent(event)) this.#arrivals.push(connection);
  }

  async #serve(connection: DataConnection, handler: ConnectionHandler): Promise<void> {
    if (!connection.reliable || connection.serialization === "json") {
      const how = "Connect with reliable: true, and serialization raw or binary.";
      throw new PeerloomError("stream/refused", `${connection.label} is answered as a stream. ${how}`);
    }
    await handler(connectionStream(connection), connection);
  }

  #expired(src: string): void {
    for (const connection of this.#of(src)) {
      if (!connection.isNegotiating || connection.isAnswered) continue;
      connection.fail(
        new PeerloomError("peer/not-found", `Nobody has the PeerJS id ${src} at ${this.#options.server}.`),
      );
    }
  }

  #of(peer: string): DataConnection[] {
    return [...this.#connections.values()].filter((connection) => connection.peer === peer);
  }

  #told(state: ServerState): void {
    this.dispatchEvent(new CustomEvent("server", { detail: state }));
    // Somebody else has this id and token now: nobody finds this door any more.
    if (state.error?.code === "edge/replaced") void this.close();
  }
}

function keyOf(peer: string, connectionId: string): string {
  return `${peer.length}:${peer}${connectionId}`;
}

function closed(): PeerloomError {
  return new PeerloomError("peer/closed", "This door is closed.");
}

function invalid(message: string): PeerloomError {
  return new PeerloomError("usage/invalid", message);
}
