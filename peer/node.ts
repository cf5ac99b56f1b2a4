/** peerloom for Node: the peer, and Node as its host. */
import { edgeFromEnvironment } from "./adapters/node/environment.ts";
import { loadNodeWebRtc } from "./adapters/node/webrtc.ts";
import { folderStorage } from "./adapters/node/storage.ts";
import { nodeRuntime } from "./adapters/node/runtime.ts";
import { type DiagnoseOptions, diagnoseOn } from "./api/diagnosis/diagnose.ts";
import type { Finding } from "./api/diagnosis/finding.ts";
import type { Looker } from "./api/diagnosis/host.ts";
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
    const edge = edgeOf(options);
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

/** Origin of the edge that is named, by option, invite or environment. @throws PeerloomError `network/invite-invalid` */
function edgeOf({ edge, invite }: Pick<PeerOptions, "edge" | "invite">): string | null {
  if (edge !== undefined) return edge;
  const invited = invite === undefined ? undefined : parseInvite(invite);
  return invited?.edge ?? edgeFromEnvironment() ?? null;
}

/** The private networks that a folder holds: makes networks and invites. */
export function networks({ dataDir }: { readonly dataDir: string }): Networks {
  const runtime = nodeRuntime({ dataDir, webrtc: undefined });
  return new Networks(runtime, runtime.storage);
}

export interface NodeDiagnoseOptions extends DiagnoseOptions, Pick<NodePeerOptions, "networksDir"> {
  /**
   * Whose identity goes to the peer `to`; no other peer may run under it meanwhile. An invite for so many peers counts each identity.
   * @default a passing one
   */
  readonly dataDir?: string;
}

/**
 * Looks at what of this machine's way to others works: checks as they are done, then one verdict. It opens passing peers of its own.
 * @throws PeerloomError `usage/invalid`, `id/invalid`, `network/invalid-name`, `network/invite-invalid`, `identity/unreadable`, `aborted`
 * @example
 * for await (const finding of diagnose({ edge: "https://edge.example" })) console.log(finding);
 */
export async function* diagnose(options: NodeDiagnoseOptions = {}): AsyncGenerator<Finding, void> {
  const { dataDir, networksDir = dataDir, ...asked } = options;
  const edge = edgeOf(asked);
  const runtime = nodeRuntime({ dataDir: undefined, webrtc: await loadNodeWebRtc() });
  const looker = await lookerOf(dataDir, networksDir);
  yield* diagnoseOn({ runtime, parts: ALL_PARTS, looker }, { ...asked, edge });
}

async function lookerOf(
  dataDir: string | undefined,
  networksDir: string | undefined,
): Promise<Looker | undefined> {
  if (networksDir === undefined) return undefined;
  return {
    identity: await loadOrCreateIdentity(nodeRuntime({ dataDir, webrtc: undefined })),
    storage: folderStorage(networksDir),
  };
}
