/**
 * What goes on around sessions once there are any: making their paths better, and the overlay with all that belongs to it: when to be at
 * the rendezvous, forwarding for others, finding the network again. It is one part, so that a page can connect before it has loaded it.
 */
import type { NetworkName } from "../../shared/ids.ts";
import type { Contact } from "../../shared/messages.ts";
import type { Identity } from "../identity/identity.ts";
import type { Connector } from "../overlay/connector.ts";
import { FORWARD_PROTOCOL, FORWARDED_PROTOCOL, Forwarder } from "../overlay/forwarder.ts";
import { Membership as BeaconMembership } from "../overlay/membership.ts";
import { Overlay } from "../overlay/overlay.ts";
import type { Introducer } from "../overlay/introducer.ts";
import { Reentry } from "../overlay/reentry.ts";
import type { Rendezvous } from "../overlay/rendezvous.ts";
import type { RtcNegotiations } from "../overlay/rtc-negotiations.ts";
import { ThroughPeers } from "../overlay/through-peers.ts";
import { Upgrader } from "../overlay/upgrader.ts";
import type { Runtime } from "../runtime.ts";
import type { StreamHandler } from "../session/contract.ts";
import type { Sessions } from "../session/sessions.ts";
import type { CheckedOptions } from "./options.ts";

export interface WeaveContext {
  readonly runtime: Runtime;
  readonly identity: Identity;
  readonly network: NetworkName;
  readonly options: Pick<CheckedOptions, "overlay" | "forward" | "policy" | "bootstrap">;
  readonly sessions: Sessions;
  readonly connector: Connector;
  readonly rendezvous: Rendezvous | undefined;
  readonly introducer: Introducer | undefined;
  readonly rtc: RtcNegotiations | undefined;
  listenAddresses(): readonly string[];
  handle(protocol: string, handler: StreamHandler): void;
  onUnanswered(contact: Contact, error: unknown): void;
}

/**
 * What was made. With `overlay: false` there is no more than the forwarder, which takes what others forward to this peer. Where every path goes
 * through a relay nothing is forwarded, and nobody is remembered.
 */
export interface Woven {
  readonly upgrader: Upgrader;
  readonly overlay: Overlay | undefined;
  readonly throughPeers: ThroughPeers | undefined;
  readonly beacons: BeaconMembership | undefined;
  readonly reentry: Reentry | undefined;
}

const WITHOUT_OVERLAY = {
  overlay: undefined,
  throughPeers: undefined,
  beacons: undefined,
  reentry: undefined,
} as const;

export type Weave = (context: WeaveContext) => Woven;

export function weave(context: WeaveContext): Woven {
  const { options, rendezvous, sessions, runtime, connector, rtc } = context;
  const { policy } = options;
  const listenAddresses = (): readonly string[] => context.listenAddresses();
  const upgrader = new Upgrader({ runtime, policy, listenAddresses, sessions, connector, rtc });
  const forwarder = forwarding(context);
  if (!options.overlay) return { upgrader, ...WITHOUT_OVERLAY };
  const overlay: Overlay = new Overlay({
    runtime,
    identity: context.identity,
    network: context.network,
    listenAddresses,
    addressesOf: (id) => connector.addressesOf(id),
    connectDirect: (contact, how) => throughPeers.connectDirect(contact, how),
    connectRelayed:
      context.introducer === undefined || policy === "direct"
        ? undefined
        : (id, signal) => connector.connect(id, { signal }),
  });
  const throughPeers = new ThroughPeers({ ...context, policy, overlay, forwarder });
  const reentry = policy === "relay" ? undefined : reentering(context, overlay, throughPeers);
  if (rendezvous === undefined) return { upgrader, overlay, throughPeers, beacons: undefined, reentry };
  const beacons = new BeaconMembership({ runtime, rendezvous, overlay });
  overlay.onBeaconLost = () => beacons.beaconLost();
  return { upgrader, overlay, throughPeers, beacons, reentry };
}

/** Only those that were reached directly are remembered, and dialled. */
function reentering(
  { runtime, network, identity, options, sessions, connector, onUnanswered }: WeaveContext,
  overlay: Overlay,
  throughPeers: ThroughPeers,
): Reentry {
  return new Reentry({
    runtime,
    network,
    // A network's own list may name this peer too.
    bootstrap: options.bootstrap.filter(({ id }) => id !== identity.id),
    onUnanswered,
    links: () => overlay.size,
    linked: () =>
      sessions
        .all()
        .filter(({ path }) => path.kind === "direct")
        .map((session) => ({ id: session.peerId, addresses: connector.provedAddresses(session) })),
    connect: (contact, signal) => throughPeers.connectDirect(contact, { edge: false, signal }),
  });
}

function forwarding({ runtime, options, sessions, handle }: WeaveContext): Forwarder {
  const forwarder = new Forwarder({
    runtime,
    directSession: (id) => {
      const session = sessions.get(id);
      return session?.path.kind === "direct" ? session : undefined;
    },
  });
  if (options.overlay && options.forward && options.policy !== "relay")
    handle(FORWARD_PROTOCOL, (stream, session) => forwarder.serve(stream, session));
  if (options.policy === "any") {
    handle(FORWARDED_PROTOCOL, (stream, session) =>
      forwarder.accept(stream, session, (link) => sessions.accept(link)),
    );
  }
  return forwarder;
}
