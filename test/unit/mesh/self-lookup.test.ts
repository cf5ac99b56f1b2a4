/** When a peer looks for its own place. */
import { expect, test } from "vitest";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import { LINK_BUDGETS } from "../../../peer/overlay/mesh/link-table.ts";
import { decodeMesh } from "../../../peer/overlay/mesh/mesh-messages.ts";
import { Mesh } from "../../../peer/overlay/mesh/mesh.ts";
import type { MeshLink } from "../../../peer/overlay/mesh/neighbour.ts";

const OWN = 1_000;

test("with its first, third and sixth link, and so each time it begins with none", () => {
  const mesh = new Mesh({
    clock: new SyncClock(),
    random: seededRandom("self-lookup"),
    key: OWN,
    budget: LINK_BUDGETS.browser,
    contact: () => new Uint8Array(0),
    open: () => {},
    deliver: () => {},
  });
  let through: number[] = [];
  const linkTo = (key: number): MeshLink => ({
    key,
    contact: new Uint8Array(0),
    send: (bytes) => {
      const message = decodeMesh(bytes);
      if (message.kind === "forward" && message.target === OWN) through.push(key);
    },
    close: () => {},
  });
  for (let round = 0; round < 3; round++) {
    through = [];
    const links = [1, 2, 3, 4, 5, 6, 7].map(linkTo);
    for (const link of links) mesh.add(link);
    expect(through).toEqual([1, 3, 6]);
    // What was asked through a link that is gone is asked elsewhere, which is another matter.
    for (const link of links) mesh.remove(link);
    expect(mesh.size).toBe(0);
  }
  mesh.kill();
});
