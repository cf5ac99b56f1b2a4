/** peerloom for web pages: the peer, and the browser as its host. */
import { browserRuntime } from "./adapters/browser/runtime.ts";
import type { PeerOptions } from "./api/options.ts";
import { Peer as CorePeer } from "./api/peer.ts";
import { generateIdentity } from "./identity/identity.ts";
import { loadOrCreateIdentity } from "./identity/identity-store.ts";

export type * from "./api/exports.ts";
export { PeerloomError } from "../shared/errors.ts";

export interface BrowserPeerOptions extends PeerOptions {
  /**
   * `kept`: the key lives in IndexedDB, cannot be read out, and is the same at the next visit. `fresh`: a new one each
   * time, for a second tab beside the first. @default "kept"
   */
  readonly identity?: "kept" | "fresh";
}

/** One running peer. @see Peer.open */
export type Peer = CorePeer;

export const Peer: { open(options?: BrowserPeerOptions): Promise<Peer> } = {
  /**
   * Opens a peer. The edge is the one that served this script, unless another is named.
   * @throws PeerloomError `edge/unreachable`, `usage/invalid`, `network/invalid-name`, `identity/unreadable`, `aborted`
   * @example
   * import { Peer } from "https://edge.example/peer.js";
   * const peer = await Peer.open({ network: "demo" });
   */
  async open(options = {}) {
    const runtime = browserRuntime();
    const identity =
      options.identity === "fresh"
        ? await generateIdentity(runtime.random)
        : await loadOrCreateIdentity(runtime, {
            lock: (name, task) => navigator.locks.request(name, task),
          });
    return CorePeer.openOn(runtime, identity, {
      ...options,
      edge: options.edge === undefined ? servedBy() : options.edge,
    });
  },
};

/** The origin of this script when an edge served it as `/peer.js`; bundled into a page it says nothing. */
function servedBy(): string | null {
  const { origin, pathname } = new URL(import.meta.url);
  return pathname === "/peer.js" && origin.startsWith("http") ? origin : null;
}
