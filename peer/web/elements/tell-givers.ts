/** From whom a file comes and how, for people. Pure. */
import type { Giver } from "../../services/files/transfer.ts";

const WAYS = { relay: "relayed by the edge", overlay: "forwarded by peers" } as const;

/** `from 3 peers, direct and relayed by the edge (udp-blocked)`; empty before anybody has given. */
export function tellGivers(givers: readonly Giver[]): string {
  if (givers.length === 0) return "";
  const ways = new Set<string>();
  if (givers.some(({ by }) => by.direct > 0)) ways.add("direct");
  for (const { by, indirect } of givers) {
    if (by.relay > 0)
      ways.add(indirect === undefined ? "relayed" : `${WAYS[indirect.kind]} (${indirect.why})`);
  }
  return `from ${givers.length} ${givers.length === 1 ? "peer" : "peers"}, ${[...ways].join(" and ")}`;
}
