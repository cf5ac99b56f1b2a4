/**
 * The peers of a page: one for each network, whoever of its elements needs it first. They are opened when they are needed, opened again
 * when they end by themselves, and closed with the page.
 */
import { diagnose, type Finding, type NetworkOptions, Peer, preload } from "../../browser.ts";
import { privateNetworks } from "../../api/parts-on-demand.ts";
import { toPeerloomError } from "../../../shared/errors.ts";
import { DEFAULT_NETWORK, networkKindOf, requireNetworkName } from "../../../shared/ids.ts";
import { jittered } from "./jittered.ts";
import { messageOf } from "./message-of.ts";

/** Named or not, it is one edge. */
const SERVED_BY = new URL(import.meta.url).origin;
/** Pauses before the next attempt to open a peer: an edge that restarts is back in seconds. */
const AGAIN_MS = { first: 1_000, max: 20_000 } as const;
/** What the same page, asking again in the same way, would be told again. */
const HOPELESS = /^(page|usage|id)\/|^wire\/version$|^network\/invalid-name$/;

const peers = new Map<string, Promise<Peer>>();
/** By its name, what a private network was entered with. */
const entries = new Map<string, NetworkOptions>();

/**
 * Lets the page's elements into a private network: from now on its name is enough. Nobody is asked yet whether the invite still holds.
 * @param options a secret with the network's name, or an invite
 * @returns the name
 * @throws PeerloomError `network/invite-invalid`, `network/invalid-name`, `usage/invalid`, `edge/unreachable`
 */
export async function enterNetwork(options: NetworkOptions): Promise<string> {
  const { parseInvite, secretNetwork } = await privateNetworks();
  const { invite, secret = "", network: name = DEFAULT_NETWORK } = options;
  const { network } =
    invite === undefined ? await secretNetwork(requireNetworkName(name), secret) : parseInvite(invite);
  entries.set(network, options);
  return network;
}

/**
 * The page's peer in a network.
 * @param edge origin; undefined: the edge that served these elements
 * @throws PeerloomError as `Peer.open`; the next call tries again
 */
export function pagePeer(network: string, edge?: string): Promise<Peer> {
  const where = edge === SERVED_BY ? undefined : edge;
  const name = `${where ?? ""} ${network}`;
  const standing = peers.get(name);
  if (standing !== undefined) return standing;
  const opening = Peer.open(placeOf(network, where));
  peers.set(name, opening);
  const forget = (): void => {
    if (peers.get(name) === opening) peers.delete(name);
  };
  opening.then((peer) => {
    peer.addEventListener("close", forget, { once: true });
    // The page goes on when its edge is gone, so nothing of it may be missing then.
    preload().catch(() => {});
  }, forget);
  return opening;
}

/**
 * What of the page's way to others works, in a network. To a peer of one by invite the page's own peer goes, since an invite counts each identity.
 * @param edge as of `pagePeer`
 * @throws PeerloomError as `diagnose`
 */
export async function* diagnosePage(
  network: string,
  edge: string | undefined,
  { to, signal }: { readonly to?: string; readonly signal: AbortSignal },
): AsyncGenerator<Finding, void> {
  const options = { ...placeOf(network, edge), signal };
  if (to === undefined) return yield* diagnose(options);
  if (networkKindOf(requireNetworkName(network)) !== "invite") return yield* diagnose({ ...options, to });
  let peer: Peer;
  try {
    peer = await pagePeer(network, edge);
  } catch (error) {
    yield { kind: "check", name: "peer", ok: null, detail: `not looked for: ${messageOf(error)}` };
    return yield* diagnose(options);
  }
  yield* diagnose({ ...options, to, peer });
}

/** @param edge undefined: the one that served these elements, or that an invite names */
function placeOf(network: string, edge: string | undefined): NetworkOptions & { readonly edge?: string } {
  return { ...(entries.get(network) ?? { network }), ...(edge !== undefined && { edge }) };
}

export interface PeerFollower {
  /** There is one. @param signal aborted when that one has ended, or is followed no longer */
  onPeer(peer: Peer, signal: AbortSignal): void;
  /** There is none now. @param says why, for people, and whether it is tried again */
  onTrouble(says: string): void;
}

/** Follows the page's peer in a network, through all that ends it. @returns follows no longer */
export function followPeer(open: () => Promise<Peer>, { onPeer, onTrouble }: PeerFollower): () => void {
  const stop = new AbortController();
  let waitMs: number = AGAIN_MS.first;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const again = (): void => {
    timer = setTimeout(follow, jittered(waitMs));
    waitMs = Math.min(2 * waitMs, AGAIN_MS.max);
  };
  const follow = (): void => {
    open().then(
      (peer) => {
        if (stop.signal.aborted) return;
        waitMs = AGAIN_MS.first;
        const ended = new AbortController();
        const onEnd = (): void => {
          ended.abort();
          again();
        };
        peer.addEventListener("close", onEnd, { once: true, signal: stop.signal });
        onPeer(peer, AbortSignal.any([stop.signal, ended.signal]));
      },
      (error: unknown) => {
        if (stop.signal.aborted) return;
        const isHopeless = HOPELESS.test(toPeerloomError(error, "internal/assertion", "").code);
        onTrouble(isHopeless ? messageOf(error) : `${messageOf(error)} It is tried again.`);
        if (!isHopeless) again();
      },
    );
  };
  follow();
  return () => {
    clearTimeout(timer);
    stop.abort();
  };
}

// Others notice at once, instead of after a while of silence. A page that is kept for the way back keeps its peers.
addEventListener("pagehide", (event) => {
  if (event.persisted) return;
  for (const peer of peers.values()) peer.then((open) => open.close()).catch(() => {});
});
