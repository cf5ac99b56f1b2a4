/**
 * Which version two sides speak: the newest that both know. Each supports one version back, so that an edge and its peers can be updated
 * in any order, one step at a time. Who is older than that is told what to update, in words that name the side.
 */
import { PeerloomError } from "./errors.ts";
import { WIRE_VERSION, WIRE_VERSION_OLDEST } from "./limits.ts";

export interface VersionRange {
  readonly oldest: number;
  readonly newest: number;
}

export const OWN_VERSIONS: VersionRange = { oldest: WIRE_VERSION_OLDEST, newest: WIRE_VERSION };

/** How a peer states the newest version it speaks when it dials a rendezvous; without it, 1. */
export const VERSION_QUERY = "v";

/**
 * The newest version of both.
 * @param who the other side, as the message names it: "edge", "peer"
 * @throws PeerloomError `wire/version`, which says what to update
 */
export function commonVersion(
  theirs: VersionRange,
  who: "edge" | "peer",
  own: VersionRange = OWN_VERSIONS,
): number {
  const version = Math.min(own.newest, theirs.newest);
  if (version >= own.oldest && version >= theirs.oldest) return version;
  throw new PeerloomError("wire/version", whatToUpdate(theirs, who, own));
}

function whatToUpdate(theirs: VersionRange, who: "edge" | "peer", own: VersionRange): string {
  const spoken = `The ${who} speaks wire version ${rangeText(theirs)}, this side ${rangeText(own)}.`;
  if (theirs.newest > own.newest) return `${spoken} Update peerloom on this side.`;
  return who === "edge" ? `${spoken} Deploy a newer edge.` : `${spoken} Update peerloom on the peer.`;
}

function rangeText({ oldest, newest }: VersionRange): string {
  return oldest === newest ? String(newest) : `${oldest} to ${newest}`;
}
