/** peerloom for web pages: the peer, and the browser as its host. */
import { explainIdentity, requirePage } from "./adapters/browser/requirements.ts";
import { browserRuntime, loadOriginFiles } from "./adapters/browser/runtime.ts";
import { servedBy } from "./adapters/browser/served-by.ts";
import { Turn } from "./adapters/browser/turn.ts";
import type { DiagnoseOptions } from "./api/diagnosis/diagnose.ts";
import type { Finding } from "./api/diagnosis/finding.ts";
import type { PeerOptions } from "./api/options.ts";
import type { Networks } from "./api/parts.ts";
import {
  diagnosis,
  loadAllParts,
  networksOnDemand,
  PARTS_ON_DEMAND,
  privateNetworks,
} from "./api/parts-on-demand.ts";
import { Peer as CorePeer } from "./api/peer.ts";
import { generateIdentity } from "./identity/identity.ts";
import { loadOrCreateIdentity } from "./identity/identity-store.ts";
import type { KeyValueStorage } from "./runtime.ts";

export type * from "./api/exports.ts";
export { memoryStorage } from "./adapters/memory-storage.ts";
export { RemoteError } from "./services/rpc/remote-error.ts";
export { PeerloomError } from "../shared/errors.ts";

export interface BrowserPeerOptions extends PeerOptions {
  /**
   * `kept`: the key lives in IndexedDB, cannot be read out, and is the same at the next visit. One tab at a time has it in one
   * network; those beside it get fresh ones, as if they had asked for `fresh`. @default "kept"
   */
  readonly identity?: "kept" | "fresh";
  /** Keeps what is known of private networks, as `memoryStorage()` does for as long as the page stands. @default this origin's IndexedDB */
  readonly networksStorage?: KeyValueStorage;
}

/** One running peer. @see Peer.open */
export type Peer = CorePeer;

export const Peer: { open(options?: BrowserPeerOptions): Promise<Peer> } = {
  /**
   * Opens a peer. The edge is the one that served this script, unless another is named.
   * @throws PeerloomError `edge/unreachable`, `usage/invalid`, `network/invalid-name`, `identity/unreadable`, `page/insecure`, `page/outdated`, `aborted`
   * @example
   * import { Peer } from "https://edge.example/peer.js";
   * const peer = await Peer.open({ network: "demo" });
   */
  async open(options = {}) {
    requirePage();
    const host = browserRuntime(servedBy());
    const { edge, network } = await placeOf(options);
    const turn = options.identity === "fresh" ? undefined : await Turn.take(edge, network);
    const runtime = turn === undefined ? host : { ...host, lifecycle: turn.guard(host.lifecycle) };
    try {
      const making =
        turn === undefined
          ? generateIdentity(runtime.random)
          : loadOrCreateIdentity(runtime, { lock: (name, task) => navigator.locks.request(name, task) });
      const identity = await making.catch((error: unknown) => {
        throw explainIdentity(error);
      });
      const peer = await CorePeer.openOn(
        runtime,
        identity,
        { ...options, edge },
        PARTS_ON_DEMAND,
        options.networksStorage,
      );
      if (turn !== undefined) {
        turn.lost.then(() => peer.close()).catch(() => {});
        peer.addEventListener("close", () => turn.end(), { once: true });
      }
      return peer;
    } catch (error) {
      turn?.end();
      throw error;
    }
  },
};

/** The edge and the network that are meant. @throws PeerloomError `network/invite-invalid`, `edge/unreachable` */
async function placeOf({ edge, network, invite }: PeerOptions): Promise<{
  readonly edge: string | null;
  readonly network: string | undefined;
}> {
  const invited = invite === undefined ? undefined : (await privateNetworks()).parseInvite(invite);
  return {
    edge: edge === undefined ? (invited?.edge ?? servedBy()) : edge,
    network: invited?.network ?? network,
  };
}

/** The private networks that this origin holds, or a storage of the page's own: makes networks and invites. */
export function networks({ storage }: { readonly storage?: KeyValueStorage } = {}): Networks {
  const runtime = browserRuntime(servedBy());
  return networksOnDemand(runtime, storage ?? runtime.storage);
}

export interface BrowserDiagnoseOptions extends Omit<DiagnoseOptions, "listen" | "mapPorts" | "lan"> {
  /**
   * A peer of this page that goes to the peer `to`, and stays: needed in a network by invite, where an invite counts each identity. What it
   * tried before is not told. @default a passing one
   */
  readonly peer?: Peer;
}

/**
 * Looks at what of this page's way to others works: checks as they are done, then one verdict. It opens passing peers of its own, and ends by
 * itself, in the worst case after about a minute. A page has no UDP sockets, so UDP, IPv6 and NAT are read from ICE candidates (RFC 8445, RFC
 * 8839; two STUN servers tell of the NAT, RFC 5780 §4.3, four are asked at most), and what the browser hides is told as unknown.
 * @throws PeerloomError `usage/invalid`, `id/invalid`, `network/invalid-name`, `network/invite-invalid`, `edge/unreachable` (its code is not
 *   loaded yet and cannot be: see `preload`), `aborted`
 * @example
 * import { diagnose } from "https://edge.example/peer.js";
 * for await (const finding of diagnose()) console.log(finding);
 */
export async function* diagnose(options: BrowserDiagnoseOptions = {}): AsyncGenerator<Finding, void> {
  requirePage();
  const { peer: looker, ...asked } = options;
  const [{ diagnoseOn }, { edge }] = await Promise.all([diagnosis(), placeOf(asked)]);
  const runtime = browserRuntime(servedBy());
  yield* diagnoseOn({ runtime, parts: PARTS_ON_DEMAND, looker }, { ...asked, edge });
}

/**
 * Loads what a page otherwise loads at first use: for one that shall go on when the edge that served it is gone.
 * @throws PeerloomError `edge/unreachable`
 * @example
 * import { Peer, preload } from "https://edge.example/peer.js";
 * await preload();
 */
export async function preload(): Promise<void> {
  await Promise.all([loadAllParts(), loadOriginFiles()]);
}
