/**
 * The overlay around a peer, with all that belongs to it: when to be at the rendezvous, forwarding for others, finding the network
 * again. It is one part, so that a page can load it beside joining, and it is made once sessions and connecting are there.
 */
import type { NetworkName } from "../../shared/ids.ts";
import type { Identity } from "../identity/identity.ts";
import type { Connector } from "../overlay/connector.ts";
import { FORWARD_PROTOCOL, FORWARDED_PROTOCOL, Forwarder } from "../overlay/forwarder.ts";
import { Membership as BeaconMembership } from "../overlay/membership.ts";
import { Overlay } from "../overlay/overlay.ts";
import { Reentry } from "../overlay/reentry.ts";
import type { Rendezvous } from "../overlay/rendezvous.ts";
import type { Runtime } from "../runtime.ts";
import type { StreamHandler } from "../session/contract.ts";
import type { Sessions } from "../session/sessions.ts";
import type { CheckedOptions } from "./options.ts";

export interface WeaveContext {
  readonly runtime: Runtime;
  readonly identity: Identity;
  readonly network: NetworkName;
  readonly options: Pick<CheckedOptions, "overlay" | "forward" | "policy">;
  readonly sessions: Sessions;
  readonly connector: Connector;
  readonly rendezvous: Rendezvous | undefined;
  listenAddresses(): readonly string[];
  handle(protocol: string, handler: StreamHandler): void;
}

/** What was made. With `overlay: false` there is the forwarder alone, which takes what others forward to this peer. */
export interface Woven {
  readonly forwarder: Forwarder;
  readonly overlay: Overlay | undefined;
  readonly beacons: BeaconMembership | undefined;
  readonly reentry: Reentry | undefined;
}

export type Weave = (context: WeaveContext) => Woven;

export function weave(context: WeaveContext): Woven {
  const { options, rendezvous, sessions, runtime } = context;
  const forwarder = forwarding(context);
  if (!options.overlay) return { forwarder, overlay: undefined, beacons: undefined, reentry: undefined };
  const overlay = new Overlay({
    runtime,
    identity: context.identity,
    network: context.network,
    listenAddresses: () => context.listenAddresses(),
    addressesOf: (id) => context.connector.addressesOf(id),
    connect: (contact, how) => context.connector.connectDirect(contact, how),
  });
  const reentry = new Reentry({
    runtime,
    network: context.network,
    links: () => overlay.size,
    linked: () =>
      sessions
        .all()
        .filter(({ path }) => path.kind === "direct")
        .map(({ peerId }) => ({ id: peerId, addresses: context.connector.addressesOf(peerId) })),
    connect: (contact, signal) => context.connector.connectDirect(contact, { edge: false, signal }),
  });
  if (rendezvous === undefined) return { forwarder, overlay, beacons: undefined, reentry };
  const beacons = new BeaconMembership({ runtime, rendezvous, overlay });
  overlay.onBeaconLost = () => beacons.beaconLost();
  return { forwarder, overlay, beacons, reentry };
}

function forwarding({ runtime, options, sessions, handle }: WeaveContext): Forwarder {
  const forwarder = new Forwarder({
    runtime,
    directSession: (id) => {
      const session = sessions.get(id);
      return session?.path.kind === "direct" ? session : undefined;
    },
  });
  if (options.overlay && options.forward)
    handle(FORWARD_PROTOCOL, (stream, session) => forwarder.serve(stream, session));
  if (options.policy === "any") {
    handle(FORWARDED_PROTOCOL, (stream, session) =>
      forwarder.accept(stream, session, (link) => sessions.accept(link)),
    );
  }
  return forwarder;
}
