/** `peerloom/peerjs` for Node and Deno. */
import { edgeFromEnvironment } from "./adapters/node/environment.ts";
import { nodeRuntime } from "./adapters/node/runtime.ts";
import { loadNodeWebRtc } from "./adapters/node/webrtc.ts";
import { PeerJsDoor as CoreDoor } from "./peerjs/door.ts";
import type { PeerJsDoorOptions } from "./peerjs/options.ts";

export type * from "./peerjs/exports.ts";
export { PeerloomError } from "../shared/errors.ts";

/** One open door. @see PeerJsDoor.open */
export type PeerJsDoor = CoreDoor;

export const PeerJsDoor: { open(options?: PeerJsDoorOptions): Promise<PeerJsDoor> } = {
  /**
   * Takes a PeerJS id at an edge (`PEERLOOM_EDGE` names one too) or at any PeerServer.
   * @throws PeerloomError `peerjs/id-taken`, `peerjs/id-invalid`, `peerjs/key-invalid`, `edge/unreachable`, `link/unavailable` (no WebRTC),
   * `usage/invalid`, `aborted`
   * @example
   * await using door = await PeerJsDoor.open({ id: "printer", edge: "https://edge.example" });
   * for await (const connection of door.connections()) serve(connection);
   */
  async open(options = {}) {
    const edge =
      options.host === undefined ? (options.edge ?? edgeFromEnvironment() ?? undefined) : undefined;
    const runtime = nodeRuntime({ dataDir: undefined, webrtc: await loadNodeWebRtc() });
    return CoreDoor.openOn(runtime, edge === undefined ? options : { ...options, edge });
  },
};
