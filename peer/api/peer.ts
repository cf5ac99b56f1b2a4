/**
 * A peer: one running runtime. This file puts the layers together for one identity in one network and is what an
 * application holds; the entry points (node.ts, deno.ts, browser.ts) add the host.
 */
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { type NetworkName, type PeerId, requirePeerId } from "../../shared/ids.ts";
import type { Contact } from "../../shared/messages.ts";
import type { Identity } from "../identity/identity.ts";
import { decodeSignal, encodeSignal } from "../links/signal-codec.ts";
import type { SignalMessage } from "../links/signaller.ts";
import { CONNECT_DEFAULTS, Connector, type ConnectOptions } from "../overlay/connector.ts";
import { IceServers } from "../overlay/ice-servers.ts";
import { Introducer } from "../overlay/introducer.ts";
import { Rendezvous } from "../overlay/rendezvous.ts";
import type { PathAttempt } from "../overlay/path-attempt.ts";
import { type IceOutcome, RtcNegotiations } from "../overlay/rtc-negotiations.ts";
import type { IceServer, KeyValueStorage, Runtime } from "../runtime.ts";
import type { SearchHit, SearchOptions } from "../services/search/search.ts";
import type { AnyMembership } from "../services/membership/open-membership.ts";
import type { ServiceHost } from "../services/host.ts";
import type { LanDiscovery } from "../overlay/lan-discovery.ts";
import type { Session, StreamHandler } from "../session/contract.ts";
import type { PeerSession } from "../session/session.ts";
import { Sessions } from "../session/sessions.ts";
import { Handlers } from "./handlers.ts";
import { Lifecycle } from "./lifecycle.ts";
import { type CheckedOptions, checkOptions, type PeerOptions } from "./options.ts";
import type { Listening } from "./listening.ts";
import { type NetworkAccess, openNetwork } from "./network-access.ts";
import type {
  ComputeService,
  FeedsService,
  FilesService,
  PeerParts,
  PortsService,
  RecordsService,
  Services,
  ServicesContext,
} from "./parts.ts";
import { overlayStatus, type PeerStatus, sessionStatus } from "./status.ts";
import type { WeaveContext, Woven } from "./weave.ts";
import { Weaving } from "./weaving.ts";

/** Echoes bytes: every peer answers it, `ping` measures with it. */
export const PING_PROTOCOL = "ping/1";
/** Overlay messages that neighbours sent before this peer's overlay was there; past that they are lost, as on any way. */
const EARLY_MAX = 256;

/** Whether the edge is reached; `error` says why not. Neither: it was left because nobody needs it now. */
export interface EdgeState {
  readonly connected: boolean;
  readonly error?: PeerloomError;
}

/** A bootstrap peer that could not be reached. While nobody is linked it is dialled again, and each failure is told. */
export interface Unanswered extends Contact {
  readonly error: PeerloomError;
}

/**
 * @example
 * await using peer = await Peer.open({ edge: "https://edge.example", network: "demo" });
 * peer.handle("echo/1", async (stream) => { await stream.readable.pipeTo(stream.writable); });
 *
 * Events: `session` (CustomEvent<Session>, when one begins or its path changes), `edge` (CustomEvent<EdgeState>), `attempt`
 * (CustomEvent<PathAttempt>, a direct path was tried), `mapping` (CustomEvent<PortMappingState>, what a gateway does for the listening port), `unanswered`
 * (CustomEvent<Unanswered>, a bootstrap peer could not be reached), `close` (nothing runs any more).
 */
export class Peer extends EventTarget implements AsyncDisposable {
  readonly id: PeerId;
  readonly network: NetworkName;
  /** What this peer may do in its network; inviting and banning. */
  readonly membership: AnyMembership;
  /** Files and folders, shared and got. */
  readonly files: FilesService;
  /** Small values that the overlay keeps. */
  readonly records: RecordsService;
  /** Signed logs that peers keep, check and pass on. */
  readonly feeds: FeedsService;
  /** Processing power, offered and used. */
  readonly compute: ComputeService;
  /** TCP ports of this machine and of others. Node and Deno only. */
  readonly ports: PortsService;
  /**
   * Lets other peers call the functions of an object.
   * @example
   * peer.serve("calc/1", { add: (a: number, b: number) => a + b });
   */
  readonly serve: Services["rpc"]["serve"];
  /**
   * What another peer serves, as an object whose methods return promises.
   * @example
   * const five = await peer.rpc<Calc>(id, "calc/1").add(2, 3);
   */
  readonly rpc: Services["rpc"]["remote"];
  /**
   * Joins a topic: what one peer publishes reaches all others that have it open. It is checked, signed, and passed on from peer to peer.
   * @example
   * const topic = peer.topic("news", { validate: ({ value }) => (typeof value === "string" ? "accept" : "reject") });
   * await topic.publish("hello");
   * for await (const { from, value } of topic) console.log(from, value);
   */
  readonly topic: Services["topics"]["topic"];
  readonly #runtime: Runtime;
  readonly #identity: Identity;
  readonly #options: CheckedOptions;
  readonly #parts: PeerParts;
  readonly #services: Services;
  readonly #handlers = new Handlers((id) => this.membership.allows(id, "compute"));
  readonly #sessions: Sessions;
  readonly #rendezvous: Rendezvous | undefined;
  readonly #introducer: Introducer | undefined;
  readonly #rtc: RtcNegotiations | undefined;
  readonly #connector: Connector;
  readonly #weaving: Weaving;
  #woven: Woven | undefined;
  readonly #early: [PeerSession, Uint8Array][] = [];
  #lan: LanDiscovery | undefined;
  readonly #listening: Listening | undefined;
  readonly #lifecycle: Lifecycle;
  #closed: Promise<void> | undefined;

  /**
   * Opens a peer on a host.
   * @param storage keeps what is known of private networks, if not the runtime's
   * @throws PeerloomError `edge/unreachable`, `usage/invalid`, `network/invalid-name`, `link/failed` (port taken), `aborted`; of a private network
   *   `network/not-member`, `network/invite-invalid`, `network/invite-used`, `network/expired`, `network/banned`
   */
  static async openOn(
    runtime: Runtime,
    identity: Identity,
    options: PeerOptions,
    parts: PeerParts,
    storage: KeyValueStorage = runtime.storage,
  ): Promise<Peer> {
    const checked = checkOptions(options);
    const access = await openNetwork(parts.openPrivateNetwork, runtime, identity, options, storage);
    const peer = new Peer(runtime, identity, checked, access, parts);
    try {
      await peer.#start();
      return peer;
    } catch (error) {
      await peer.close();
      throw error;
    }
  }

  private constructor(
    runtime: Runtime,
    identity: Identity,
    options: CheckedOptions,
    access: NetworkAccess,
    parts: PeerParts,
  ) {
    super();
    this.id = identity.id;
    const { network, admission, pass } = access;
    this.network = network;
    this.#runtime = runtime;
    this.#identity = identity;
    this.#options = options;
    this.#parts = parts;
    const listenAddresses = (): readonly string[] => this.listenAddresses;
    const { edge, policy } = options;
    this.#listening = parts.sockets?.listening({
      runtime,
      identity,
      options,
      onLink: (link) => this.#sessions.accept(link),
      onMapping: (detail) => this.dispatchEvent(new CustomEvent("mapping", { detail })),
      onMoved: () => this.#lifecycle.moved(),
    });
    this.#sessions = new Sessions({
      runtime,
      identity,
      network,
      admission,
      handler: (protocol) => this.#handlers.of(protocol),
      onSignal: (session, message) => this.#receiveSessionSignal(session, message),
      onOverlay: (session, message) => this.#receiveOverlay(session, message),
      onSession: (session) => this.#begun(session),
      onPathless: (session) => {
        this.#rendezvous?.doubt();
        this.#woven?.upgrader.revive(session);
      },
      onEnd: (session) => {
        this.#woven?.overlay?.detach(session);
        this.#woven?.upgrader.forget(session);
      },
    });
    if (edge !== undefined) {
      this.#rendezvous = new Rendezvous({
        runtime,
        identity,
        network,
        edge,
        pass,
        // Newcomers are to meet whom they can reach directly.
        beacon: policy !== "relay",
        addresses: listenAddresses,
      });
      this.#introducer = new Introducer({ runtime, identity, network, rendezvous: this.#rendezvous });
    }
    if (runtime.webrtc !== undefined && options.webrtc && policy !== "relay") {
      const fromEdge = edge === undefined ? undefined : new IceServers(runtime, edge, this.#rendezvous);
      const iceServers = async (): Promise<readonly IceServer[]> =>
        options.iceServers ?? (await fromEdge?.get()) ?? [];
      this.#rtc = new RtcNegotiations({
        runtime,
        host: runtime.webrtc,
        iceServers,
        mapping: parts.sockets?.natMapping(runtime, iceServers) ?? (() => Promise.resolve("unknown")),
        onLink: (_, link) => this.#sessions.accept(link),
        onOutcome: (peerId, outcome) => this.#negotiated(peerId, outcome),
      });
    }
    this.#connector = new Connector({
      runtime,
      identity,
      onAttempt: (attempt) => this.#tellAttempt(attempt),
      policy,
      listenAddresses,
      sessions: this.#sessions,
      introducer: this.#introducer,
      dialTcp: parts.sockets?.dialTcp,
      rtc: this.#rtc,
      needPeers: async () => {
        if (options.overlay) await this.#weaving.need();
      },
    });
    const context = {
      runtime,
      identity,
      network,
      options,
      sessions: this.#sessions,
      connector: this.#connector,
      rendezvous: this.#rendezvous,
      introducer: this.#introducer,
      rtc: this.#rtc,
      listening: this.#listening,
      listenAddresses,
      handle: (protocol: string, handler: StreamHandler) => void this.handle(protocol, handler),
      onUnanswered: (contact: Contact, error: unknown) => this.#tellUnanswered(contact, error),
      woven: () => this.#woven,
    };
    // Who has no edge to ask is nothing without its overlay.
    const isLate = parts.weavesLate && edge !== undefined && options.bootstrap.length === 0;
    this.#weaving = new Weaving({ runtime, isLate, make: () => this.#weave(context) });
    this.#lifecycle = new Lifecycle(context);
    this.handle(PING_PROTOCOL, (stream) => stream.readable.pipeTo(stream.writable));
    const host = this.#serviceHost(pass);
    this.membership = access.membership({
      host,
      edge,
      tellEdge: (signed) => this.#rendezvous?.sendBans(signed) ?? false,
    });
    this.#services = parts.services({
      host,
      edge,
      limits: { upload: options.uploadLimit, download: options.downloadLimit },
      search: this.#searchContext(),
      release: (session) => this.#release(session),
      handlerOf: (protocol) => this.#handlers.of(protocol),
    });
    const { files, records, feeds, compute, ports, rpc, topics } = this.#services;
    this.files = files;
    this.records = records;
    this.feeds = feeds;
    this.compute = compute;
    this.ports = ports;
    this.serve = (...call) => rpc.serve(...call);
    this.rpc = (...call) => rpc.remote(...call);
    this.topic = (...call) => topics.topic(...call);
  }

  /** Origin of the edge, or undefined in pure mode. */
  get edge(): string | undefined {
    return this.#options.edge;
  }

  /** Where this peer takes links, as others would dial it. */
  get listenAddresses(): readonly string[] {
    return this.#options.policy === "relay" ? [] : (this.#listening?.addresses() ?? []);
  }

  /**
   * Answers streams of a protocol; one handler each, a second one replaces the first.
   * @returns takes the handler away
   */
  handle(protocol: string, handler: StreamHandler): () => void {
    return this.#handlers.add(protocol, handler);
  }

  /**
   * The session with a peer, made when there is none. It begins on whatever path stands first and moves to better ones.
   * @throws PeerloomError `id/invalid`, `connect/self`, `connect/no-path`, `connect/timeout`, `peer/not-found`, `peer/closed`, `aborted`
   */
  async connect(id: string, options: ConnectOptions = {}): Promise<Session> {
    return this.#connect(requirePeerId(id), options);
  }

  /**
   * Finds what others of the network share, by the words of its name. Each hit's ticket is for `files.get`.
   * @throws PeerloomError, on the first step: `usage/invalid`, `search/unavailable`, `edge/unreachable`, `edge/rate-limited`, `peer/closed`, `aborted`
   * @example
   * for await (const { name, ticket } of peer.search("cat video", { via: "auto" })) console.log(name, ticket);
   */
  search(text: string, options: SearchOptions = {}): AsyncIterable<SearchHit> {
    return this.#services.search.search(text, options);
  }

  /** All sessions there are. */
  sessions(): readonly Session[] {
    return this.#sessions.all();
  }

  status(): PeerStatus {
    return {
      id: this.id,
      edge: this.edge ?? null,
      network: this.network,
      peers: this.#sessions.all().map(sessionStatus),
      listen: this.listenAddresses,
      mapping: this.#listening?.mapping ?? null,
      shares: this.files.shares().map(({ name, bytes, hash }) => ({ name, bytes, hash })),
      topics: this.#services.topics.status(),
      overlay: overlayStatus(this.#woven?.overlay),
      records: { kept: this.records.kept, refused: this.records.refused },
    };
  }

  /** Ends every session and leaves nothing running. Twice is harmless. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Who listens says so as it joins, so it listens before. */
  async #start(): Promise<void> {
    const { listen: where, signal } = this.#options;
    signal?.throwIfAborted();
    const weaving = this.#weaving;
    if (weaving.isLate) {
      await this.#join();
      this.#whenWoven(() => this.#meet());
      return;
    }
    const met = weaving.begin().then(() => this.#meet());
    if (where !== undefined) await met;
    await Promise.all([met, this.#join()]);
  }

  /** What it has to do with the overlay waits for that. */
  #whenWoven(then: (woven: Woven) => void | Promise<void>): void {
    this.#weaving
      .begin()
      .then(then)
      .catch((error: unknown) => {
        this.#runtime.log.debug("overlay not joined", { error: String(error) });
      });
  }

  async #weave(context: WeaveContext): Promise<Woven> {
    const woven = await this.#parts.weave(context);
    const { overlay, upgrader } = woven;
    if (overlay !== undefined) {
      overlay.onSignal = (from, message, answer) => this.#receiveSignal(from, message, answer);
      overlay.onLink = (session) => this.#services.search.linked(session);
      const mesh = await overlay.open();
      if (this.#closed !== undefined) {
        overlay.close();
        throw new PeerloomError("peer/closed", "This peer is closing.");
      }
      this.#services.start(mesh);
    }
    this.#woven = woven;
    this.#connector.throughPeers = woven.throughPeers;
    for (const session of this.#sessions.all()) {
      upgrader.watch(session);
      if (session.path.kind === "none") upgrader.revive(session);
      overlay?.update(session);
    }
    for (const [session, message] of this.#early.splice(0)) overlay?.receive(session, message);
    return woven;
  }

  /** Takes links, and makes the first ones that need no edge. */
  async #meet(): Promise<void> {
    const { bootstrap, listen } = this.#options;
    if (listen !== undefined && this.#listening === undefined)
      throw new PeerloomError("link/unavailable", "This host cannot listen.");
    await this.#listening?.open();
    this.#lan = this.#parts.sockets?.lan({
      runtime: this.#runtime,
      reach: this.#options.lanReach,
      id: this.id,
      network: this.network,
      listenAddresses: () => this.#listening?.ownAddresses() ?? [],
      overlay: this.#woven?.overlay,
      sessions: this.#sessions,
      connector: this.#connector,
    });
    if (bootstrap.length > 0) this.#woven?.overlay?.expectLink();
    for (const contact of bootstrap) {
      if (contact.id === this.id) continue;
      this.#connector.connect(contact.id, contact).catch((error: unknown) => {
        this.#tellUnanswered(contact, error);
      });
    }
    this.#woven?.reentry?.start();
  }

  async #join(): Promise<void> {
    const rendezvous = this.#rendezvous;
    const introducer = this.#introducer;
    if (rendezvous === undefined || introducer === undefined) return;
    introducer.onSignal = (from, message) => {
      this.#receiveSignal(from, message, (answer) => introducer.signal(from, answer), true);
    };
    introducer.onRelayOffer = (from, grant) => {
      this.#connector.acceptRelay(from, grant).catch((error: unknown) => {
        this.#runtime.log.debug("relay offer failed", { error: String(error) });
      });
    };
    rendezvous.onBans = (signed) => this.membership.fromEdge(signed);
    rendezvous.onJoined = ({ beacons, keep }) => {
      this.membership.joined();
      this.#whenWoven(async ({ beacons: keeping, overlay }) => {
        keeping?.joined(keep);
        await overlay?.join(beacons);
      });
    };
    rendezvous.onRelease = () => this.#whenWoven((woven) => woven.beacons?.released());
    rendezvous.onState = (connected, error) => {
      const detail: EdgeState = error === undefined ? { connected } : { connected, error };
      this.#services.search.edgeChanged(connected, error !== undefined);
      this.dispatchEvent(new CustomEvent("edge", { detail }));
      if (connected) this.#lifecycle.reconnected();
    };
    try {
      await rendezvous.open(this.#options.signal);
    } catch (error) {
      // An edge that has spent its day keeps nobody from those it knows otherwise; the event `edge` has told.
      const isClosed = error instanceof PeerloomError && error.code === "edge/over-budget";
      if (!isClosed || this.#options.policy === "relay") throw error;
    }
  }

  async #close(): Promise<void> {
    this.#lifecycle.stop();
    this.#weaving.close();
    const woven = this.#woven;
    await woven?.reentry?.close();
    await this.#lan?.close();
    await this.#services.close();
    await this.membership.close();
    woven?.beacons?.close();
    woven?.overlay?.close();
    this.#services.end();
    this.#connector.close();
    this.#rtc?.close();
    await this.#sessions.close();
    await this.#rendezvous?.close();
    await this.#listening?.close();
    this.dispatchEvent(new Event("close"));
  }

  async #connect(id: PeerId, options: ConnectOptions = {}): Promise<PeerSession> {
    const isKnown =
      this.#sessions.get(id) !== undefined ||
      this.#connector.addressesOf(id).length > 0 ||
      (options.addresses ?? []).length > 0;
    // With an edge there is somebody else to ask.
    if (!isKnown && this.edge === undefined) await this.#lan?.settle(id, { ...CONNECT_DEFAULTS, ...options });
    return this.#connector.connect(id, options);
  }

  #begun(session: PeerSession): void {
    let isTold = false;
    const tell = (): void => {
      this.#woven?.overlay?.update(session);
      // It is there a moment before its first path carries it.
      isTold ||= session.path.kind !== "none";
      if (isTold) this.dispatchEvent(new CustomEvent("session", { detail: session }));
    };
    session.addEventListener("path", tell);
    session.addEventListener("path", () => {
      if (session.path.kind !== "none") this.#services.topics.met(session);
    });
    this.#woven?.upgrader.watch(session);
    this.#weaving.need().catch(() => {}); // It says itself why not.
    this.#services.topics.met(session);
    tell();
    this.membership.begun(session);
  }

  #tellUnanswered(contact: Contact, cause: unknown): void {
    if (this.#closed !== undefined) return;
    const error = toPeerloomError(cause, "connect/no-path", String(cause));
    const detail: Unanswered = { ...contact, error };
    this.dispatchEvent(new CustomEvent("unanswered", { detail }));
  }

  /** What became of a WebRTC negotiation is why the session is on another path. */
  #negotiated(peerId: PeerId, outcome: IceOutcome): void {
    if (outcome.failure !== undefined) this.#sessions.get(peerId)?.explain(outcome.failure);
    this.#tellAttempt({ peerId, transport: "webrtc", ...outcome });
  }

  #tellAttempt(detail: PathAttempt): void {
    this.dispatchEvent(new CustomEvent("attempt", { detail }));
  }

  #receiveSessionSignal(session: PeerSession, bytes: Uint8Array): void {
    let message: SignalMessage;
    try {
      message = decodeSignal(bytes);
    } catch (error) {
      const { code } = toPeerloomError(error, "wire/malformed", "Malformed signal.");
      this.#runtime.log.warn("bad signal", { code });
      return;
    }
    if (message.kind === "addresses") {
      if (this.#connector.told(session, message.addresses)) this.#woven?.upgrader.learned(session);
      return;
    }
    this.#receiveSignal(session.peerId, message, (answer) => session.sendSignal(encodeSignal(answer)));
  }

  #receiveSignal(
    from: PeerId,
    message: SignalMessage,
    answer: (message: SignalMessage) => void,
    byEdge = false,
  ): void {
    if (message.kind === "rtc") {
      this.#rtc?.receive(from, message.connectionId, message.signal, answer);
      if (message.signal.kind === "offer") this.#woven?.overlay?.offered(from, byEdge);
    } else if (message.kind === "refuse") this.#rtc?.refused(from, message.id, message.code);
    else if (message.kind === "meet") this.#woven?.beacons?.meet();
    else if (message.kind === "dial" && message.addresses.length > 0)
      this.#connector.remember(from, message.addresses);
  }

  /** A session that a service has made is not needed any more by it. */
  #release({ peerId }: Session): void {
    const session = this.#sessions.get(peerId);
    if (session !== undefined) this.#woven?.overlay?.release(session);
  }

  #receiveOverlay(session: PeerSession, message: Uint8Array): void {
    const woven = this.#woven;
    if (woven !== undefined) woven.overlay?.receive(session, message);
    else if (this.#early.length < EARLY_MAX) this.#early.push([session, message]);
  }

  #searchContext(): ServicesContext["search"] {
    const { overlay: isWanted } = this.#options;
    const phase = (): string => this.#rendezvous?.state.phase ?? "stopped";
    return {
      isEdgeThere: () => phase() !== "waiting" && phase() !== "stopped",
      overlay: !isWanted
        ? undefined
        : {
            neighbours: () => this.#woven?.overlay?.neighbours() ?? [],
            hasSession: (id) => this.#sessions.get(id) !== undefined,
            release: (session) => this.#release(session),
          },
    };
  }

  #serviceHost(pass: NetworkAccess["pass"]): ServiceHost {
    return {
      id: this.id,
      network: this.network,
      runtime: this.#runtime,
      addresses: () => this.listenAddresses,
      connect: (id, options) => this.#connect(id, options),
      sessions: () => this.sessions(),
      sign: (bytes) => this.#identity.sign(bytes),
      pass,
      requireAbility: (ability) => this.membership.require(ability),
      isLinked: async (signal) => {
        const { overlay } = await this.#weaving.need(signal);
        return (await overlay?.isLinked(signal)) ?? false;
      },
      handle: (protocol, handler) => this.handle(protocol, handler),
    };
  }
}
