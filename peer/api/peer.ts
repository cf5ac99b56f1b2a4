/**
 * A peer: one running runtime. This file puts the layers together for one identity in one network and is what an
 * application holds; the entry points (node.ts, deno.ts, browser.ts) add the host.
 */
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { type NetworkName, type PeerId, requirePeerId } from "../../shared/ids.ts";
import type { Identity } from "../identity/identity.ts";
import { parseListenAddress } from "../links/address.ts";
import { listen } from "../links/listen.ts";
import { decodeSignal, encodeSignal } from "../links/signal-codec.ts";
import type { SignalMessage } from "../links/signaller.ts";
import { CONNECT_DEFAULTS, Connector, type ConnectOptions } from "../overlay/connector.ts";
import { FORWARD_PROTOCOL, FORWARDED_PROTOCOL, Forwarder } from "../overlay/forwarder.ts";
import { IceServers } from "../overlay/ice-servers.ts";
import { Introducer } from "../overlay/introducer.ts";
import { mergeHeard } from "../overlay/lan-contacts.ts";
import { LanDiscovery } from "../overlay/lan-discovery.ts";
import { Rendezvous } from "../overlay/rendezvous.ts";
import { Membership as BeaconMembership } from "../overlay/membership.ts";
import { NatProbe } from "../overlay/nat-probe.ts";
import { Overlay } from "../overlay/overlay.ts";
import type { PathAttempt } from "../overlay/path-attempt.ts";
import { Reentry } from "../overlay/reentry.ts";
import { type IceOutcome, RtcNegotiations } from "../overlay/rtc-negotiations.ts";
import { Upgrader } from "../overlay/upgrader.ts";
import type { IceServer, KeyValueStorage, Listener, Runtime } from "../runtime.ts";
import { Feeds } from "../services/feeds/feeds.ts";
import { Compute } from "../services/compute/compute.ts";
import { WORK_PROTOCOL } from "../services/compute/protocol.ts";
import { Files } from "../services/files/files.ts";
import { Membership } from "../services/membership/membership.ts";
import { Ports } from "../services/ports/ports.ts";
import { Records } from "../services/records/records.ts";
import { Rpc } from "../services/rpc/rpc.ts";
import { Search, type SearchHit, type SearchOptions } from "../services/search/search.ts";
import { Topics } from "../services/topics/topics.ts";
import type { ServiceHost } from "../services/host.ts";
import type { Session, StreamHandler } from "../session/contract.ts";
import type { PeerSession } from "../session/session.ts";
import { Sessions } from "../session/sessions.ts";
import { type CheckedOptions, checkOptions, type PeerOptions } from "./options.ts";
import { type NetworkAccess, openNetwork } from "./network-access.ts";
import { overlayStatus, type PeerStatus, sessionStatus } from "./status.ts";

/** Echoes bytes: every peer answers it, `ping` measures with it. */
export const PING_PROTOCOL = "ping/1";

/** Whether the edge is reached; `error` says why not. Neither: it was left because nobody needs it now. */
export interface EdgeState {
  readonly connected: boolean;
  readonly error?: PeerloomError;
}

/**
 * @example
 * await using peer = await Peer.open({ edge: "https://edge.example", network: "demo" });
 * peer.handle("echo/1", async (stream) => { await stream.readable.pipeTo(stream.writable); });
 *
 * Events: `session` (CustomEvent<Session>, when one begins or its path changes), `edge` (CustomEvent<EdgeState>), `attempt`
 * (CustomEvent<PathAttempt>, a direct path was tried), `close` (nothing runs any more).
 */
export class Peer extends EventTarget implements AsyncDisposable {
  readonly id: PeerId;
  readonly network: NetworkName;
  /** What this peer may do in its network; inviting and banning. */
  readonly membership: Membership;
  /** Files and folders, shared and got. */
  readonly files: Files;
  /** Small values that the overlay keeps. */
  readonly records: Records;
  /** Signed logs that peers keep, check and pass on. */
  readonly feeds: Feeds;
  /** Processing power, offered and used. */
  readonly compute: Compute;
  /** TCP ports of this machine and of others. Node and Deno only. */
  readonly ports: Ports;
  /**
   * Lets other peers call the functions of an object.
   * @example
   * peer.serve("calc/1", { add: (a: number, b: number) => a + b });
   */
  readonly serve: Rpc["serve"];
  /**
   * What another peer serves, as an object whose methods return promises.
   * @example
   * const five = await peer.rpc<Calc>(id, "calc/1").add(2, 3);
   */
  readonly rpc: Rpc["remote"];
  /**
   * Joins a topic: what one peer publishes reaches all others that have it open. It is checked, signed, and passed on from peer to peer.
   * @example
   * const topic = peer.topic("news", { validate: ({ value }) => (typeof value === "string" ? "accept" : "reject") });
   * await topic.publish("hello");
   * for await (const { from, value } of topic) console.log(from, value);
   */
  readonly topic: Topics["topic"];
  readonly #topics: Topics;
  readonly #rpc: Rpc;
  readonly #search: Search;
  readonly #runtime: Runtime;
  readonly #options: CheckedOptions;
  readonly #handlers = new Map<string, StreamHandler>();
  readonly #sessions: Sessions;
  readonly #rendezvous: Rendezvous | undefined;
  readonly #introducer: Introducer | undefined;
  readonly #beacons: BeaconMembership | undefined;
  readonly #rtc: RtcNegotiations | undefined;
  readonly #overlay: Overlay | undefined;
  readonly #connector: Connector;
  readonly #upgrader: Upgrader;
  readonly #reentry: Reentry | undefined;
  readonly #lan: LanDiscovery | undefined;
  #listener: Listener | undefined;
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
    options: PeerOptions = {},
    storage: KeyValueStorage = runtime.storage,
  ): Promise<Peer> {
    const checked = checkOptions(options);
    const peer = new Peer(runtime, identity, checked, await openNetwork(runtime, identity, options, storage));
    try {
      await peer.#start();
      return peer;
    } catch (error) {
      await peer.close();
      throw error;
    }
  }

  private constructor(runtime: Runtime, identity: Identity, options: CheckedOptions, access: NetworkAccess) {
    super();
    this.id = identity.id;
    const { network, admission, pass } = access;
    this.network = network;
    this.#runtime = runtime;
    this.#options = options;
    const listenAddresses = (): readonly string[] => this.listenAddresses;
    const { edge, policy } = options;
    this.#sessions = new Sessions({
      runtime,
      identity,
      network,
      admission,
      handler: (protocol) => this.#handlerOf(protocol),
      onSignal: (session, message) => this.#receiveSessionSignal(session, message),
      onOverlay: (session, message) => this.#overlay?.receive(session, message),
      onSession: (session) => this.#begun(session),
      onPathless: (session) => {
        this.#rendezvous?.doubt();
        this.#upgrader.revive(session);
      },
      onEnd: (session) => {
        this.#overlay?.detach(session);
        this.#upgrader.forget(session);
      },
    });
    if (edge !== undefined) {
      this.#rendezvous = new Rendezvous({
        runtime,
        identity,
        network,
        edge,
        pass,
        addresses: listenAddresses,
      });
      this.#introducer = new Introducer({ runtime, identity, network, rendezvous: this.#rendezvous });
    }
    if (runtime.webrtc !== undefined && options.webrtc && policy !== "relay") {
      const fromEdge = edge === undefined ? undefined : new IceServers(runtime, edge);
      const iceServers = async (): Promise<readonly IceServer[]> =>
        options.iceServers ?? (await fromEdge?.get()) ?? [];
      const nat = new NatProbe(runtime, iceServers);
      this.#rtc = new RtcNegotiations({
        runtime,
        host: runtime.webrtc,
        iceServers,
        mapping: () => nat.mapping(),
        onLink: (_, link) => this.#sessions.accept(link),
        onOutcome: (peerId, outcome) => this.#negotiated(peerId, outcome),
      });
    }
    if (options.overlay && policy !== "relay") {
      this.#overlay = new Overlay({
        runtime,
        identity,
        network,
        listenAddresses,
        addressesOf: (id) => this.#connector.addressesOf(id),
        connect: (contact, how) => this.#connector.connectDirect(contact, how),
      });
    }
    if (this.#overlay !== undefined && this.#rendezvous !== undefined) {
      const beacons = new BeaconMembership({ runtime, rendezvous: this.#rendezvous, overlay: this.#overlay });
      this.#beacons = beacons;
      this.#overlay.onBeaconLost = () => beacons.beaconLost();
      this.#rendezvous.onRelease = () => beacons.released();
    }
    const forwarder = new Forwarder({
      runtime,
      directSession: (id) => {
        const session = this.#sessions.get(id);
        return session?.path.kind === "direct" ? session : undefined;
      },
    });
    this.#connector = new Connector({
      runtime,
      identity,
      onAttempt: (attempt) => this.#tellAttempt(attempt),
      policy,
      listenAddresses,
      sessions: this.#sessions,
      introducer: this.#introducer,
      overlay: this.#overlay,
      forwarder,
      rtc: this.#rtc,
    });
    this.#upgrader = new Upgrader({
      runtime,
      policy,
      listenAddresses,
      sessions: this.#sessions,
      connector: this.#connector,
      rtc: this.#rtc,
    });
    if (options.overlay && options.forward && policy !== "relay")
      this.handle(FORWARD_PROTOCOL, (stream, session) => forwarder.serve(stream, session));
    if (policy === "any") {
      this.handle(FORWARDED_PROTOCOL, (stream, session) =>
        forwarder.accept(stream, session, (link) => this.#sessions.accept(link)),
      );
    }
    if (this.#overlay !== undefined) {
      const overlay = this.#overlay;
      this.#reentry = new Reentry({
        runtime,
        network,
        links: () => overlay.size,
        linked: () =>
          this.#sessions
            .all()
            .filter(({ path }) => path.kind === "direct")
            .map(({ peerId }) => ({ id: peerId, addresses: this.#connector.addressesOf(peerId) })),
        connect: (contact, signal) => this.#connector.connectDirect(contact, { edge: false, signal }),
      });
    }
    this.#lan = this.#lanDiscovery();
    this.handle(PING_PROTOCOL, (stream) => stream.readable.pipeTo(stream.writable));
    const host = this.#serviceHost(identity, pass);
    this.membership = new Membership({
      ...access,
      host,
      edge,
      tellEdge: (signed) => this.#rendezvous?.sendBans(signed) ?? false,
    });
    this.records = new Records(host);
    this.files = new Files(host, {
      edge: options.edge,
      records: this.records,
      limits: { upload: options.uploadLimit, download: options.downloadLimit },
    });
    this.feeds = new Feeds(host, this.records);
    this.compute = new Compute(host, this.records);
    this.ports = new Ports(host);
    this.#rpc = new Rpc(host);
    this.serve = (...call) => this.#rpc.serve(...call);
    this.rpc = (...call) => this.#rpc.remote(...call);
    this.#topics = new Topics({
      host,
      records: this.records,
      release: (session) => this.#release(session),
    });
    this.topic = (...call) => this.#topics.topic(...call);
    this.#search = this.#searchOn(host);
  }

  /** Origin of the edge, or undefined in pure mode. */
  get edge(): string | undefined {
    return this.#options.edge;
  }

  /** Where this peer takes links, as others would dial it. */
  get listenAddresses(): readonly string[] {
    return this.#options.policy === "relay" ? [] : (this.#listener?.addresses() ?? []);
  }

  /**
   * Answers streams of a protocol; one handler each, a second one replaces the first.
   * @returns takes the handler away
   */
  handle(protocol: string, handler: StreamHandler): () => void {
    this.#handlers.set(protocol, handler);
    return () => {
      if (this.#handlers.get(protocol) === handler) this.#handlers.delete(protocol);
    };
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
    return this.#search.search(text, options);
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
      shares: this.files.shares().map(({ name, bytes, hash }) => ({ name, bytes, hash })),
      topics: this.#topics.status(),
      overlay: overlayStatus(this.#overlay),
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

  async #start(): Promise<void> {
    const { listen: where, signal } = this.#options;
    signal?.throwIfAborted();
    const overlay = this.#overlay;
    if (overlay !== undefined) {
      overlay.onSignal = (from, message) => {
        this.#receiveSignal(from, message, (answer) => overlay.signal(from, answer));
      };
      overlay.onLink = (session) => this.#search.linked(session);
      this.records.start(await overlay.open());
    }
    if (where !== undefined) {
      this.#listener = await listen(this.#runtime, parseListenAddress(where), (link) =>
        this.#sessions.accept(link),
      );
    }
    this.#lan?.open();
    if (this.#options.bootstrap.length > 0) this.#overlay?.expectLink();
    for (const { id, address } of this.#options.bootstrap) {
      this.#connector.connect(id, { addresses: [address] }).catch((error: unknown) => {
        this.#runtime.log.debug("bootstrap peer not reached", { error: String(error) });
      });
    }
    this.#reentry?.start();
    const rendezvous = this.#rendezvous;
    const introducer = this.#introducer;
    if (rendezvous === undefined || introducer === undefined) return;
    introducer.onSignal = (from, message) => {
      this.#receiveSignal(from, message, (answer) => introducer.signal(from, answer));
    };
    introducer.onRelayOffer = (from, grant) => {
      this.#connector.acceptRelay(from, grant).catch((error: unknown) => {
        this.#runtime.log.debug("relay offer failed", { error: String(error) });
      });
    };
    rendezvous.onBans = (signed) => this.membership.fromEdge(signed);
    rendezvous.onJoined = ({ beacons, keep }) => {
      this.membership.joined();
      this.#beacons?.joined(keep);
      this.#overlay?.join(beacons).catch((error: unknown) => {
        this.#runtime.log.debug("overlay not joined", { error: String(error) });
      });
    };
    rendezvous.onState = (connected, error) => {
      const detail: EdgeState = error === undefined ? { connected } : { connected, error };
      this.#search.edgeChanged(connected, error !== undefined);
      this.dispatchEvent(new CustomEvent("edge", { detail }));
    };
    await rendezvous.open(signal);
  }

  async #close(): Promise<void> {
    await this.#reentry?.close();
    await this.#lan?.close();
    this.#rpc.close();
    await this.ports.close();
    await this.#topics.close();
    await this.#search.close();
    await this.files.close();
    await this.feeds.close();
    await this.compute.close();
    await this.membership.close();
    this.#beacons?.close();
    this.#overlay?.close();
    this.records.close();
    this.#connector.close();
    this.#rtc?.close();
    await this.#sessions.close();
    await this.#rendezvous?.close();
    await this.#listener?.close();
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

  #lanDiscovery(): LanDiscovery | undefined {
    const { lanReach: reach } = this.#options;
    const { network } = this;
    const host = this.#runtime.lan;
    const overlay = this.#overlay;
    if (host === undefined || reach === undefined || overlay === undefined) return undefined;
    const connector = this.#connector;
    return new LanDiscovery({
      runtime: this.#runtime,
      host,
      id: this.id,
      network,
      reach,
      listenAddresses: () => this.listenAddresses,
      linkCount: () => overlay.size,
      isLinked: (id) => this.#sessions.get(id)?.path.kind === "direct",
      remember: (id, heard, before) =>
        connector.remember(id, mergeHeard({ heard, before, known: connector.addressesOf(id) })),
      // By address alone: what strangers say here must cost neither the edge nor other peers anything.
      connect: async (id, signal) =>
        this.#sessions.connectOver(id, await connector.dialAddresses(id, signal), signal),
    });
  }

  #begun(session: PeerSession): void {
    const tell = (): void => {
      this.#overlay?.update(session);
      this.dispatchEvent(new CustomEvent("session", { detail: session }));
    };
    session.addEventListener("path", tell);
    this.#upgrader.watch(session);
    this.#topics.met(session);
    tell();
    this.membership.begun(session);
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
      this.#connector.remember(session.peerId, message.addresses);
      this.#upgrader.wake(session);
      return;
    }
    this.#receiveSignal(session.peerId, message, (answer) => session.sendSignal(encodeSignal(answer)));
  }

  #receiveSignal(from: PeerId, message: SignalMessage, answer: (message: SignalMessage) => void): void {
    if (message.kind === "rtc") this.#rtc?.receive(from, message.connectionId, message.signal, answer);
    else if (message.kind === "refuse") this.#rtc?.refused(from, message.id, message.code);
    else if (message.kind === "meet") this.#beacons?.meet();
    else if (message.kind === "dial" && message.addresses.length > 0)
      this.#connector.remember(from, message.addresses);
  }

  /** A session that a service has made is not needed any more by it. */
  #release({ peerId }: Session): void {
    const session = this.#sessions.get(peerId);
    if (session !== undefined) this.#overlay?.release(session);
  }

  #searchOn(host: ServiceHost): Search {
    const overlay = this.#overlay;
    const phase = (): string => this.#rendezvous?.state.phase ?? "stopped";
    return new Search({
      host,
      files: this.files,
      records: this.records,
      edge: this.edge,
      isEdgeThere: () => phase() !== "waiting" && phase() !== "stopped",
      overlay:
        overlay === undefined
          ? undefined
          : {
              neighbours: () => overlay.neighbours(),
              hasSession: (id) => this.#sessions.get(id) !== undefined,
              release: (session) => this.#release(session),
            },
    });
  }

  /** What a member of a private network needs an ability for, it is refused without. */
  #handlerOf(protocol: string): StreamHandler | undefined {
    const handler = this.#handlers.get(protocol);
    if (handler === undefined || protocol !== WORK_PROTOCOL) return handler;
    return (stream, session) => {
      if (this.membership.allows(session.peerId, "compute")) return handler(stream, session);
      stream.reset("network/not-allowed");
    };
  }

  #serviceHost(identity: Identity, pass: NetworkAccess["pass"]): ServiceHost {
    return {
      id: this.id,
      network: this.network,
      runtime: this.#runtime,
      addresses: () => this.listenAddresses,
      connect: (id, options) => this.#connect(id, options),
      sessions: () => this.sessions(),
      sign: (bytes) => identity.sign(bytes),
      pass,
      requireAbility: (ability) => this.membership.require(ability),
      isLinked: async (signal) => (await this.#overlay?.isLinked(signal)) ?? false,
      handle: (protocol, handler) => this.handle(protocol, handler),
    };
  }
}
