/**
 * What the command line asks of the library, as types: the shape of `Peer` and of what it returns. Commands take these,
 * so that their tests can hand them a peer without a network.
 */
import type { PeerloomError } from "../../shared/errors.ts";
import type { PeerId } from "../../shared/ids.ts";
import type { Session, StreamHandler } from "../session/contract.ts";

export interface PeerOpenOptions {
  readonly edge?: string | null;
  readonly network?: string;
  readonly dataDir?: string;
  /** `HOST:PORT`. */
  readonly listen?: string;
  readonly bootstrap?: readonly string[];
  readonly only?: "direct" | "relay";
  readonly webrtc?: boolean;
  readonly signal?: AbortSignal;
}

export interface PeerStatusEntry {
  readonly id: string;
  readonly path: string;
  readonly transport: string;
  readonly why: string;
  readonly rttMs: number | undefined;
}

export interface PeerStatus {
  readonly id: string;
  readonly edge: string | null | undefined;
  readonly peers: readonly PeerStatusEntry[];
  readonly listen: readonly string[];
  readonly shares: readonly unknown[];
}

export interface Share {
  readonly ticket: string;
  readonly hash: string;
  readonly bytes: number;
  readonly name: string;
  close(): Promise<void>;
}

export interface DownloadProgress {
  readonly bytes: number;
  readonly total: number;
  readonly sources: number;
}

export interface DownloadResult {
  readonly path: string;
  readonly bytes: number;
  readonly seconds: number;
  readonly sources: number;
  readonly hash: string;
  readonly by: { readonly direct: number; readonly relay: number };
}

export interface Download extends EventTarget {
  saveTo(path?: string, options?: { readonly overwrite?: boolean }): Promise<DownloadResult>;
}

/** Events: `session` (CustomEvent<Session>), `edge` (CustomEvent<EdgeChange>). */
export interface CliPeer extends EventTarget {
  readonly id: PeerId;
  readonly edge: string | undefined;
  readonly network: string;
  readonly listenAddresses: readonly string[];
  connect(
    id: string,
    options?: {
      readonly signal?: AbortSignal;
      readonly timeoutMs?: number;
      readonly addresses?: readonly string[];
    },
  ): Promise<Session>;
  handle(protocol: string, handler: StreamHandler): () => void;
  sessions(): readonly Session[];
  readonly files: {
    share(
      path: string,
      options?: { onProgress?(progress: { readonly bytes: number; readonly total: number }): void },
    ): Promise<Share>;
    get(ticket: string): Download;
  };
  status(): PeerStatus;
  close(): Promise<void>;
}

export interface EdgeChange {
  readonly connected: boolean;
  readonly error?: PeerloomError;
}
