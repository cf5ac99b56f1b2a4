/**
 * The peers of a page: one for each network, whoever of its elements needs it first. They are opened when they are needed and closed
 * with the page.
 */
import { Peer } from "../../browser.ts";

/** Named or not, it is one edge. */
const SERVED_BY = new URL(import.meta.url).origin;

const peers = new Map<string, Promise<Peer>>();

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
  const opening = Peer.open({ network, ...(where !== undefined && { edge: where }) });
  peers.set(name, opening);
  opening.catch(() => peers.delete(name));
  return opening;
}

// Others notice at once, instead of after a while of silence. A page that is frozen keeps its peers.
addEventListener("pagehide", (event) => {
  if (event.persisted) return;
  for (const peer of peers.values()) peer.then((open) => open.close()).catch(() => {});
});
