/** peerloom for web pages: the peer, and the browser as its host. */
import { browserRuntime } from "./adapters/browser/runtime.ts";
import { servedBy } from "./adapters/browser/served-by.ts";
import { edgeOfInvite } from "./api/network-access.ts";
import { Networks } from "./api/networks.ts";
import type { PeerOptions } from "./api/options.ts";
import { Peer as CorePeer } from "./api/peer.ts";
import { generateIdentity } from "./identity/identity.ts";
import { parseInvite } from "./identity/invites.ts";
import { loadOrCreateIdentity } from "./identity/identity-store.ts";

export type * from "./api/exports.ts";
export { RemoteError } from "./services/rpc/remote-error.ts";
export { PeerloomError } from "../shared/errors.ts";

export interface BrowserPeerOptions extends PeerOptions {
  /**
   * `kept`: the key lives in IndexedDB, cannot be read out, and is the same at the next visit. One tab at a time has it in one
   * network; those beside it get fresh ones, as if they had asked for `fresh`. @default "kept"
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
    const runtime = browserRuntime(servedBy());
    const { invite } = options;
    const edge = options.edge === undefined ? (edgeOfInvite(invite) ?? servedBy()) : options.edge;
    const network = invite === undefined ? options.network : parseInvite(invite).network;
    const turn = options.identity === "fresh" ? undefined : await takeTurn(edge, network);
    try {
      const identity =
        turn === undefined
          ? await generateIdentity(runtime.random)
          : await loadOrCreateIdentity(runtime, {
              lock: (name, task) => navigator.locks.request(name, task),
            });
      const peer = await CorePeer.openOn(runtime, identity, { ...options, edge });
      peer.addEventListener("close", () => turn?.(), { once: true });
      return peer;
    } catch (error) {
      turn?.();
      throw error;
    }
  },
};

/** The private networks that this origin holds: makes networks and invites. */
export function networks(): Networks {
  const runtime = browserRuntime(servedBy());
  return new Networks(runtime, runtime.storage);
}

/** Two tabs with one identity would take each other's place at the edge again and again. @returns ends the turn; undefined: another tab has it */
function takeTurn(edge: string | null, network = ""): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(`peerloom-peer ${edge ?? ""} ${network}`, { ifAvailable: true }, (lock) =>
        lock === null ? resolve(undefined) : new Promise<void>((release) => resolve(release)),
      )
      .catch(reject);
  });
}
