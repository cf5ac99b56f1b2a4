/** peerloom for Node: the peer, and Node as its host. */
import { edgeFromEnvironment } from "./adapters/node/environment.ts";
import { loadNodeWebRtc } from "./adapters/node/webrtc.ts";
import { folderStorage } from "./adapters/node/storage.ts";
import { nodeRuntime } from "./adapters/node/runtime.ts";
import { type DiagnoseOptions, diagnoseOn } from "./api/diagnosis/diagnose.ts";
import type { Finding } from "./api/diagnosis/finding.ts";
import { ALL_PARTS } from "./api/all-parts.ts";
import { Networks } from "./api/networks.ts";
import type { PeerOptions } from "./api/options.ts";
import { Peer as CorePeer } from "./api/peer.ts";
import { loadOrCreateIdentity } from "./identity/identity-store.ts";
import { parseInvite } from "./identity/invites.ts";

export type * from "./api/exports.ts";
export { RemoteError } from "./services/rpc/remote-error.ts";
export { PeerloomError } from "../shared/errors.ts";

export interface NodePeerOptions extends PeerOptions {
  /** Folder that keeps the identity (mode 0700). Without it the peer has a new identity each time. */
  readonly dataDir?: string;
  /** Folder that keeps what is known of private networks: keys of owned ones, invites, bans. @default `dataDir` */
  readonly networksDir?: string;
}

/** One running peer. @see Peer.open */
export type Peer = CorePeer;

export const Peer: { open(options?: NodePeerOptions): Promise<Peer> } = {
  /**
   * Opens a peer. No option is required; without an edge (`PEERLOOM_EDGE` names one too) it is pure.
   * @throws PeerloomError `edge/unreachable`, `usage/invalid`, `network/invalid-name`, `link/failed`, `identity/unreadable`, `aborted`
   * @example
   * await using peer = await Peer.open({ edge: "https://edge.example", network: "demo" });
   */
  async open(options = {}) {
    const { dataDir, networksDir, webrtc = true } = options;
    const invite = options.invite === undefined ? undefined : parseInvite(options.invite);
    const edge = options.edge === undefined ? (invite?.edge ?? edgeFromEnvironment() ?? null) : options.edge;
    const host = webrtc && options.only !== "relay" ? await loadNodeWebRtc() : undefined;
    const runtime = nodeRuntime({ dataDir, webrtc: host });
    const storage = networksDir === undefined ? runtime.storage : folderStorage(networksDir);
    return CorePeer.openOn(
      runtime,
      await loadOrCreateIdentity(runtime),
      { ...options, edge },
      ALL_PARTS,
      storage,
    );
  },
};

/** The private networks that a folder holds: makes networks and invites. */
export function networks({ dataDir }: { readonly dataDir: string }): Networks {
  const runtime = nodeRuntime({ dataDir, webrtc: undefined });
  return new Networks(runtime, runtime.storage);
}

/**
 * Looks at what of this machine's way to others works: checks as they are done, then one verdict. It opens passing peers of its own.
 * @throws PeerloomError `usage/invalid`, `id/invalid`, `network/invalid-name`, `aborted`
 * @example
 * for await (const finding of diagnose({ edge: "https://edge.example" })) console.log(finding);
 */
export async function* diagnose(options: DiagnoseOptions = {}): AsyncGenerator<Finding, void> {
  const { edge = edgeFromEnvironment() ?? null } = options;
  const runtime = nodeRuntime({ dataDir: undefined, webrtc: await loadNodeWebRtc() });
  yield* diagnoseOn(runtime, { ...options, edge });
}
