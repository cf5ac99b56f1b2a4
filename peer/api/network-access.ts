/**
 * From what an application says of a network (a name, a secret, an invite) to what the layers below need of it: the name on the wire, the
 * credential that is shown, the key that handshakes mix in.
 */
import { type BanList, checkBans, emptyBans } from "../../shared/bans.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { DEFAULT_NETWORK, type NetworkName, networkKindOf, requireNetworkName } from "../../shared/ids.ts";
import { encodePass, passClaim } from "../../shared/pass.ts";
import type { Identity } from "../identity/identity.ts";
import { type Authority, certify, inviteAuthority, parseInvite, secretNetwork } from "../identity/invites.ts";
import { NetworkKeys } from "../identity/network-keys.ts";
import { verify } from "../identity/verify.ts";
import type { Clock, KeyValueStorage, Runtime } from "../runtime.ts";
import { Admission } from "../session/admission.ts";

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
  readonly keys: NetworkKeys;
  /** Undefined in an open network. */
  readonly admission: Admission | undefined;
  /** By whose word this peer is a member. Undefined in an open network. */
  readonly authority: Authority | undefined;
  /** The signed ban list that was kept. */
  readonly bans: Uint8Array | undefined;
  /** What an edge is shown. Undefined in an open network. */
  readonly pass: ((origin: string) => Promise<string>) | undefined;
}

/**
 * @throws PeerloomError `network/invalid-name`, `network/not-member` (private, and no invite or secret for it here),
 *   `network/invite-invalid`, `usage/invalid`
 */
export async function openNetwork(
  runtime: Pick<Runtime, "clock">,
  identity: Identity,
  options: NetworkOptions,
  storage: KeyValueStorage,
): Promise<NetworkAccess> {
  const keys = new NetworkKeys(storage);
  if (options.secret !== undefined) {
    if (options.invite !== undefined)
      throw new PeerloomError(
        "usage/invalid",
        "A network is joined by a secret or by an invite, not by both.",
      );
    const name = options.network === undefined ? DEFAULT_NETWORK : requireNetworkName(options.network);
    const { network, authority, psk } = await secretNetwork(name, options.secret);
    return member(runtime.clock, identity, { network, keys, authority, psk, bans: undefined });
  }
  const named = options.network === undefined ? undefined : requireNetworkName(options.network);
  const invite = options.invite === undefined ? undefined : parseInvite(options.invite);
  const network = invite?.network ?? named ?? DEFAULT_NETWORK;
  if (named !== undefined && named !== network)
    throw new PeerloomError("usage/invalid", `The invite is for the network ${network}, not for ${named}.`);
  const kind = networkKindOf(network);
  if (kind === "open")
    return { network, keys, admission: undefined, authority: undefined, bans: undefined, pass: undefined };
  if (kind === "secret") throw notMember("its members share a secret, which is needed here too");
  const invited = invite === undefined ? undefined : await inviteAuthority(invite);
  if (invite !== undefined) await keys.keepInvite(invite);
  const authority = (await keys.owner(network)) ?? invited ?? (await invitedAuthority(keys, network));
  if (authority === undefined)
    throw notMember("nothing here says that this peer is a member; give an invite");
  return member(runtime.clock, identity, {
    network,
    keys,
    authority,
    psk: undefined,
    bans: await keys.bans(network),
  });
}

/** Origin of the edge that an invite names. @throws PeerloomError `network/invite-invalid` */
export function edgeOfInvite(invite: string | undefined): string | undefined {
  return invite === undefined ? undefined : parseInvite(invite).edge;
}

/** By whose word this host is in a network, from what it keeps. @throws PeerloomError `network/invite-invalid` */
export async function keptAuthority(keys: NetworkKeys, network: NetworkName): Promise<Authority | undefined> {
  return (await keys.owner(network)) ?? invitedAuthority(keys, network);
}

async function invitedAuthority(keys: NetworkKeys, network: NetworkName): Promise<Authority | undefined> {
  const invite = await keys.invite(network);
  return invite === undefined ? undefined : inviteAuthority(invite);
}

async function member(
  clock: Clock,
  identity: Identity,
  {
    psk,
    ...access
  }: Pick<NetworkAccess, "network" | "keys" | "bans"> & {
    readonly authority: Authority;
    readonly psk: Uint8Array | undefined;
  },
): Promise<NetworkAccess> {
  const { network, authority } = access;
  const credential = await certify(authority, identity.id);
  const bans: BanList =
    access.bans === undefined ? emptyBans(network) : await checkBans(access.bans, network, verify);
  return {
    ...access,
    admission: new Admission({ network, clock, credential, psk, bans }),
    async pass(origin) {
      const timeMs = Math.trunc(clock.nowMs());
      const signature = await identity.sign(passClaim(origin, network, timeMs));
      return encodePass({ credential, timeMs, signature });
    },
  };
}

function notMember(why: string): PeerloomError {
  return new PeerloomError("network/not-member", `This network is private: ${why}.`);
}
