/** A mesh by itself, whose neighbours are the test's: what it sends them is recorded, and nothing else happens. */
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import { LINK_BUDGETS } from "../../../peer/overlay/mesh/link-table.ts";
import { decodeMesh, type MeshMessage } from "../../../peer/overlay/mesh/mesh-messages.ts";
import { Mesh } from "../../../peer/overlay/mesh/mesh.ts";
import type { MeshKey } from "../../../peer/overlay/mesh/mesh-key.ts";
import type { MeshLink } from "../../../peer/overlay/mesh/neighbour.ts";

export function loneMesh(key: MeshKey): {
  readonly mesh: Mesh;
  readonly clock: SyncClock;
  readonly linkTo: (key: MeshKey) => MeshLink;
  readonly sent: { readonly to: MeshKey; readonly message: MeshMessage }[];
  /** Whom it tried to link to; nothing came of it. */
  readonly opened: MeshKey[];
} {
  const sent: { to: MeshKey; message: MeshMessage }[] = [];
  const opened: MeshKey[] = [];
  const clock = new SyncClock();
  const mesh = new Mesh({
    clock,
    random: seededRandom("lone mesh"),
    key,
    budget: LINK_BUDGETS.browser,
    contact: () => new Uint8Array(0),
    open: (contact) => opened.push(contact.key),
    deliver: () => {},
  });
  const linkTo = (to: MeshKey): MeshLink => ({
    key: to,
    contact: new Uint8Array(0),
    send: (bytes) => sent.push({ to, message: decodeMesh(bytes) }),
    close: () => {},
  });
  return { mesh, clock, linkTo, sent, opened };
}
