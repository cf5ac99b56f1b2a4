/**
 * What the command line asks of the library: the part of `Peer` that commands use, so that their tests can hand them a
 * peer without a network.
 */
import type { PeerStatus } from "../api/status.ts";
import type { Peer } from "../api/peer.ts";
import type { NodePeerOptions } from "../node.ts";
import type { Computation, TaskResult } from "../services/compute/computation.ts";
import type { TaskInputs } from "../services/compute/input-reader.ts";
import type { MapOptions } from "../services/compute/compute.ts";
import type { WorkOptions } from "../services/compute/work-offer.ts";
import type { DownloadOptions, DownloadResult, SaveOptions } from "../services/files/download.ts";
import type { AnyMembership } from "../services/membership/open-membership.ts";
import type { Ports } from "../services/ports/ports.ts";
import type { Records } from "../services/records/records.ts";
import type { Share, ShareOptions } from "../services/files/files.ts";
import type { TransferLimits } from "../services/files/limits.ts";
import type { Topic } from "../services/topics/topic.ts";
import type { TopicMessage, TopicOptions } from "../services/topics/topic-options.ts";

export interface CliTopic
  extends EventTarget, AsyncIterable<TopicMessage>, Pick<Topic, "peers" | "missed" | "publish" | "close"> {}

export type PeerOpenOptions = NodePeerOptions;

export interface Download extends EventTarget {
  saveTo(path?: string, options?: SaveOptions): Promise<DownloadResult>;
}

export interface CliComputation
  extends EventTarget, AsyncIterable<TaskResult>, Pick<Computation, "contributors" | "progress"> {}

/** Events: `session` (CustomEvent<Session>), `edge` (CustomEvent<EdgeState>), `unanswered` (CustomEvent<Unanswered>). */
export interface CliPeer
  extends
    EventTarget,
    Pick<
      Peer,
      "id" | "edge" | "network" | "listenAddresses" | "connect" | "handle" | "sessions" | "search" | "close"
    > {
  readonly files: {
    share(path: string, options?: ShareOptions): Promise<Share>;
    get(ticket: string, options?: DownloadOptions): Download;
    limit(limits: TransferLimits): void;
  };
  readonly records: Pick<Records, "store" | "set" | "find">;
  readonly compute: {
    work(options: WorkOptions): Promise<{ readonly slots: number }>;
    map(module: Uint8Array, inputs: TaskInputs, options: MapOptions): CliComputation;
  };
  readonly ports: Pick<Ports, "expose" | "forward">;
  topic(name: string, options?: TopicOptions): CliTopic;
  readonly membership: Pick<AnyMembership, "ban" | "unban">;
  status(): PeerStatus;
}
