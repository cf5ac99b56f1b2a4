/**
 * What the command line asks of the library: the part of `Peer` that commands use, so that their tests can hand them a
 * peer without a network.
 */
import type { PeerStatus } from "../api/status.ts";
import type { Peer } from "../api/peer.ts";
import type { NodePeerOptions } from "../node.ts";
import type { DownloadResult, SaveOptions } from "../services/files/download.ts";
import type { Ports } from "../services/ports/ports.ts";
import type { Records } from "../services/records/records.ts";
import type { Share, ShareOptions } from "../services/files/files.ts";

export type PeerOpenOptions = NodePeerOptions;

export interface Download extends EventTarget {
  saveTo(path?: string, options?: SaveOptions): Promise<DownloadResult>;
}

/** Events: `session` (CustomEvent<Session>), `edge` (CustomEvent<EdgeState>). */
export interface CliPeer
  extends
    EventTarget,
    Pick<Peer, "id" | "edge" | "network" | "listenAddresses" | "connect" | "handle" | "sessions" | "close"> {
  readonly files: {
    share(path: string, options?: ShareOptions): Promise<Share>;
    get(ticket: string): Download;
  };
  readonly records: Pick<Records, "store" | "set" | "find">;
  readonly ports: Pick<Ports, "expose" | "forward">;
  status(): PeerStatus;
}
