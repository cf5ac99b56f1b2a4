/** From whom a file comes and how, for people. Pure. */
import { counted } from "../../api/quantities.ts";
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
  return `from ${counted(givers.length, "peer")}, ${[...ways].join(" and ")}`;
}
