/** peerloom for Node: the peer, and Node as its host. */
import { edgeFromEnvironment } from "./adapters/node/environment.ts";
import { loadNodeWebRtc } from "./adapters/node/webrtc.ts";
import { nodeRuntime } from "./adapters/node/runtime.ts";
import { type DiagnoseOptions, diagnoseOn } from "./api/diagnosis/diagnose.ts";
import type { Finding } from "./api/diagnosis/finding.ts";
import { ALL_PARTS } from "./api/all-parts.ts";
import type { PeerOptions } from "./api/options.ts";
import { Peer as CorePeer } from "./api/peer.ts";
import { loadOrCreateIdentity } from "./identity/identity-store.ts";

export type * from "./api/exports.ts";
export { RemoteError } from "./services/rpc/remote-error.ts";
export { PeerloomError } from "../shared/errors.ts";

export interface NodePeerOptions extends PeerOptions {
  /** Folder that keeps the identity (mode 0700). Without it the peer has a new identity each time. */
  readonly dataDir?: string;
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
    const { dataDir, webrtc = true, edge = edgeFromEnvironment() ?? null } = options;
    const host = webrtc && options.only !== "relay" ? await loadNodeWebRtc() : undefined;
    const runtime = nodeRuntime({ dataDir, webrtc: host });
    return CorePeer.openOn(runtime, await loadOrCreateIdentity(runtime), { ...options, edge }, ALL_PARTS);
  },
};

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
