/**
 * From what an application says of a network (a name, a secret, an invite) to what the layers below need of it: the name on the wire, and in a private
 * network the credential that is shown and the key that handshakes mix in (private-network.ts).
 */
import { DEFAULT_NETWORK, type NetworkName, networkKindOf, requireNetworkName } from "../../shared/ids.ts";
import type { Identity } from "../identity/identity.ts";
import type { KeyValueStorage, Runtime } from "../runtime.ts";
import type { ServiceHost } from "../services/host.ts";
import { type AnyMembership, OpenMembership } from "../services/membership/open-membership.ts";
import type { Admission } from "../session/admission.ts";

/** How a network is named. */
export interface NetworkOptions {
  /**
   * Only peers of the same network meet. 1 to 64 of `a-z 0-9 . _ -`; with a secret it tells networks of one secret apart; `i.…`: a private
   * network that this host owns or was invited to before. @default "main"
   */
  readonly network?: string;
  /** Closes the network to all who do not know it: nobody else, the edge included, learns even its name. */
  readonly secret?: string;
  /** An invite's URL. It names the network, and is kept for the next time. */
  readonly invite?: string;
}

export interface NetworkAccess {
  readonly network: NetworkName;
  /** Undefined in an open network. */
  readonly admission: Admission | undefined;
  /** What an edge is shown. Undefined in an open network. */
  readonly pass: ((origin: string) => Promise<string>) | undefined;
  membership(context: MembershipContext): AnyMembership;
}

export interface MembershipContext {
  readonly host: ServiceHost;
  /** Origin; undefined in pure mode. */
  readonly edge: string | undefined;
  /** @returns false when the edge is not joined */
  tellEdge(signed: Uint8Array): boolean;
}

/**
 * Opens a network that is private, or is named by a secret or an invite.
 * @throws PeerloomError `network/invalid-name`, `network/not-member`, `network/invite-invalid`, `usage/invalid`
 */
export type OpenPrivateNetwork = (
  runtime: Pick<Runtime, "clock">,
  identity: Identity,
  options: NetworkOptions,
  storage: KeyValueStorage,
) => Promise<NetworkAccess>;

/**
 * @param openPrivate loaded by who needs it
 * @throws PeerloomError `network/invalid-name`, `network/not-member` (private, and no invite or secret for it here),
 *   `network/invite-invalid`, `usage/invalid`
 */
export async function openNetwork(
  openPrivate: OpenPrivateNetwork,
  ...call: Parameters<OpenPrivateNetwork>
): Promise<NetworkAccess> {
  const [, , { network: text, secret, invite }] = call;
  const network = text === undefined ? DEFAULT_NETWORK : requireNetworkName(text);
  if (secret !== undefined || invite !== undefined || networkKindOf(network) !== "open")
    return openPrivate(...call);
  const membership = (): AnyMembership => new OpenMembership();
  return { network, admission: undefined, pass: undefined, membership };
}
