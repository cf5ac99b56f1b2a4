/** Finding peers on the local network, put together from a peer's other parts. */
import type { NetworkName, PeerId } from "../../shared/ids.ts";
import type { Connector } from "../overlay/connector.ts";
import { mergeHeard } from "../overlay/lan-contacts.ts";
import { LanDiscovery } from "../overlay/lan-discovery.ts";
import type { Overlay } from "../overlay/overlay.ts";
import type { LanReach, Runtime } from "../runtime.ts";
import type { Sessions } from "../session/sessions.ts";

export interface LanContext {
  readonly runtime: Runtime;
  /** Undefined: neither finds nor is found. */
  readonly reach: LanReach | undefined;
  readonly id: PeerId;
  readonly network: NetworkName;
  listenAddresses(): readonly string[];
  readonly overlay: Pick<Overlay, "size"> | undefined;
  readonly sessions: Sessions;
  readonly connector: Connector;
}

/** Undefined where it is not wanted, or the host cannot. */
export function openLan(context: LanContext): LanDiscovery | undefined {
  const { runtime, reach, id, network, listenAddresses, overlay, sessions, connector } = context;
  const host = runtime.lan;
  if (host === undefined || reach === undefined || overlay === undefined) return undefined;
  const lan = new LanDiscovery({
    runtime,
    host,
    id,
    network,
    reach,
    listenAddresses,
    linkCount: () => overlay.size,
    isLinked: (peerId) => sessions.get(peerId)?.path.kind === "direct",
    remember: (peerId, heard, before) =>
      connector.remember(peerId, mergeHeard({ heard, before, known: connector.addressesOf(peerId) })),
    // By address alone: what strangers say here must cost neither the edge nor other peers anything.
    connect: async (peerId, signal) =>
      sessions.connectOver(peerId, await connector.dialAddresses(peerId, signal), signal),
  });
  lan.open();
  return lan;
}
