/**
 * What a peer is put together from beside sessions and connecting. An entry hands in all of it at once (all-parts.ts: Node,
 * Deno), or as functions that load each part when it is first needed (parts-on-demand.ts: pages). Types only.
 */
import type { Mesh } from "../overlay/mesh/mesh.ts";
import type { LanDiscovery } from "../overlay/lan-discovery.ts";
import type { Mapping } from "../overlay/nat-probe.ts";
import type { DialTcp } from "../overlay/connector.ts";
import type { IceServer, Runtime } from "../runtime.ts";
import type { UdpHost } from "../runtime-udp.ts";
import type { StunServer } from "../links/stun.ts";
import type { Compute, MapOptions } from "../services/compute/compute.ts";
import type { Computation as ComputationClass } from "../services/compute/computation.ts";
import type { TaskInputs } from "../services/compute/input-reader.ts";
import type { Feeds } from "../services/feeds/feeds.ts";
import type { Download as DownloadClass, DownloadOptions } from "../services/files/download.ts";
import type { Files } from "../services/files/files.ts";
import type { TransferLimits } from "../services/files/limits.ts";
import type { ServiceHost } from "../services/host.ts";
import type { Ports } from "../services/ports/ports.ts";
import type { Records } from "../services/records/records.ts";
import type { Rpc } from "../services/rpc/rpc.ts";
import type { Search, SearchContext } from "../services/search/search.ts";
import type { Session, StreamHandler } from "../session/contract.ts";
import type { Topic as TopicClass } from "../services/topics/topic.ts";
import type { TopicOptions } from "../services/topics/topic-options.ts";
import type { Topics } from "../services/topics/topics.ts";
import type { Check } from "./diagnosis/finding.ts";
import type { NetworkFacts } from "./diagnosis/network-checks.ts";
import type { LanContext } from "./lan.ts";
import type { Listening, ListeningContext } from "./listening.ts";
import type { OpenPrivateNetwork } from "./network-access.ts";
import type { Networks as NetworksClass } from "./networks.ts";
import type { Weave } from "./weave.ts";

export interface PeerParts {
  /** The code of `weave` is still to be loaded: a peer that joins an edge connects before it needs it. */
  readonly weavesLate: boolean;
  /** Makes what goes on around sessions, the overlay first of all. @throws PeerloomError `edge/unreachable` when its code cannot be loaded */
  weave(...call: Parameters<Weave>): Promise<ReturnType<Weave>>;
  /** @throws PeerloomError `edge/unreachable` when its code cannot be loaded */
  readonly openPrivateNetwork: OpenPrivateNetwork;
  services(context: ServicesContext): Services;
  /** Where there are sockets. */
  readonly sockets: SocketParts | undefined;
}

/** Links and looks that need a host's sockets; a page has none and does not load them. */
export interface SocketParts {
  readonly dialTcp: DialTcp;
  listening(context: ListeningContext): Listening;
  /** Undefined where it is not wanted, or the host cannot. */
  lan(context: LanContext): LanDiscovery | undefined;
  /** How a NAT in front of this machine maps. Never rejects. */
  natMapping(runtime: Runtime, iceServers: () => Promise<readonly IceServer[]>): () => Promise<Mapping>;
  /** What a diagnosis learns by asking STUN servers itself. @throws PeerloomError `aborted` */
  checkByDatagrams(
    runtime: Runtime,
    udp: UdpHost,
    servers: readonly StunServer[],
    signal: AbortSignal,
  ): Promise<NetworkFacts>;
  /** What a diagnosis learns of the gateway. Never rejects. */
  checkGateway(runtime: Runtime, signal: AbortSignal): Promise<Check>;
}

export interface ServicesContext {
  readonly host: ServiceHost;
  /** Origin; undefined in pure mode. */
  readonly edge: string | undefined;
  readonly limits: TransferLimits;
  readonly search: Pick<SearchContext, "isEdgeThere" | "overlay">;
  /** A session that a service has made is not needed any more by it. */
  release(session: Session): void;
  /** Who answers a protocol now. */
  handlerOf(protocol: string): StreamHandler | undefined;
}

/** A class as its users see it, so that what loads it later can stand for it. */
export type PublicOf<T> = Pick<T, keyof T>;

/** The private networks that a host owns or was invited to. */
export type Networks = PublicOf<NetworksClass>;
export type Download = PublicOf<DownloadClass>;
export type Computation = Omit<PublicOf<ComputationClass>, "fail">;

/** Files and folders, shared and got. */
export interface FilesService extends Pick<Files, "share" | "limit" | "shares"> {
  /**
   * A download of what a ticket names; it begins when it is told where to.
   * @throws PeerloomError `files/ticket-invalid`
   */
  get(ticket: string, options?: DownloadOptions): Download;
}

/** Processing power, offered and used. */
export interface ComputeService extends Pick<Compute, "work"> {
  /**
   * Runs a module over inputs on other peers. Nothing happens before the results are read; they come as they are done, each with the index of
   * its input. Inputs and results have 4 MiB at most, and whoever works sees them.
   * @throws PeerloomError `usage/invalid`, `id/invalid`, in a page with the first result; what else may fail is thrown while results are read
   * @example
   * for await (const { index, value } of peer.compute.map(wasm, inputs, { copies: 2, agree: 2 })) {}
   */
  map(module: Uint8Array | ArrayBuffer, inputs: TaskInputs, options?: MapOptions): Computation;
}

/** A topic as an application holds it. */
export type Topic = Pick<
  TopicClass,
  | keyof EventTarget
  | "name"
  | "peers"
  | "missed"
  | "status"
  | "publish"
  | "ask"
  | "close"
  | typeof Symbol.asyncIterator
  | typeof Symbol.asyncDispose
>;

/** Publish and subscribe. */
export interface TopicsService extends Pick<Topics, "met" | "status"> {
  /**
   * Joins a topic. It finds others by itself, and passes on what they publish until it is closed.
   * @param name 1 to 128 bytes
   * @throws PeerloomError `usage/invalid`, `peer/closed`; in a page what is done with the topic throws them
   */
  topic(name: string, options?: TopicOptions): Topic;
}

export type RecordsService = Omit<PublicOf<Records>, "start" | "close">;
export type FeedsService = Omit<PublicOf<Feeds>, "close">;
export type PortsService = Omit<PublicOf<Ports>, "close">;

export interface Services {
  readonly files: FilesService;
  readonly records: RecordsService;
  readonly feeds: FeedsService;
  readonly compute: ComputeService;
  readonly ports: PortsService;
  readonly rpc: Pick<Rpc, "serve" | "remote">;
  readonly topics: TopicsService;
  readonly search: Pick<Search, "search" | "linked" | "edgeChanged">;
  /** The overlay stands. */
  start(mesh: Mesh): void;
  /** All that needs other peers or the edge. */
  close(): Promise<void>;
  /** After the overlay was left, as which records are handed over. */
  end(): void;
}
