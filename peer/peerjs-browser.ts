/** `peerloom/peerjs` for web pages; an edge serves it as `/peerjs.js`. */
import { browserRuntime } from "./adapters/browser/runtime.ts";
import { servedBy } from "./adapters/browser/served-by.ts";
import { PeerJsDoor as CoreDoor } from "./peerjs/door.ts";
import type { PeerJsDoorOptions } from "./peerjs/options.ts";

export type * from "./peerjs/exports.ts";
export { PeerloomError } from "../shared/errors.ts";

/** One open door. @see PeerJsDoor.open */
export type PeerJsDoor = CoreDoor;

export const PeerJsDoor: { open(options?: PeerJsDoorOptions): Promise<PeerJsDoor> } = {
  /**
   * Takes a PeerJS id at an edge, the one that served this script unless another is named, or at any PeerServer.
   * @throws PeerloomError `peerjs/id-taken`, `peerjs/id-invalid`, `peerjs/key-invalid`, `edge/unreachable`, `link/unavailable` (in a
   * worker), `usage/invalid`, `aborted`
   * @example
   * import { PeerJsDoor } from "https://edge.example/peerjs.js";
   * const door = await PeerJsDoor.open({ id: "wall" });
   */
  async open(options = {}) {
    const edge = options.host === undefined ? (options.edge ?? servedBy() ?? undefined) : undefined;
    return CoreDoor.openOn(browserRuntime(servedBy()), edge === undefined ? options : { ...options, edge });
  },
};
