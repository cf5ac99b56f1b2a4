/** From whom a file comes and how, as `<peerloom-get>` says it. */
import { expect, test } from "vitest";
import type { Giver } from "../../../peer/services/files/transfer.ts";
import { tellGivers } from "../../../peer/web/elements/tell-givers.ts";
import { peerIdFromKey } from "../../../shared/ids.ts";

function giver(direct: number, relay: number, indirect?: Giver["indirect"]): Giver {
  return { id: peerIdFromKey(new Uint8Array(32)), by: { direct, relay }, indirect };
}

test.each([
  ["nobody has given yet", [], ""],
  ["one gives directly", [giver(1, 0)], "from 1 peer, direct"],
  ["three do", [giver(1, 0), giver(2, 0), giver(3, 0)], "from 3 peers, direct"],
  [
    "one is relayed, with its reason",
    [giver(0, 1, { kind: "relay", why: "udp-blocked" })],
    "from 1 peer, relayed by the edge (udp-blocked)",
  ],
  [
    "one that was relayed at first, and then not",
    [giver(9, 1, { kind: "relay", why: "direct-pending" })],
    "from 1 peer, direct and relayed by the edge (direct-pending)",
  ],
  [
    "ways that are the same are told once",
    [
      giver(1, 0),
      giver(0, 1, { kind: "overlay", why: "no-stun" }),
      giver(0, 1, { kind: "overlay", why: "no-stun" }),
    ],
    "from 3 peers, direct and forwarded by peers (no-stun)",
  ],
  ["whose way is not known any more", [giver(0, 1)], "from 1 peer, relayed"],
] as const)("%s", (_, givers, expected) => {
  expect(tellGivers(givers)).toBe(expected);
});
