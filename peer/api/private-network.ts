/**
 * What a private network needs beside an open one: by whose word this peer is a member, the credential that says so, and who else is let in. A
 * part of its own, which pages load when they are told of a secret, an invite or a private network's name.
 */
import { type BanList, checkBans, emptyBans } from "../../shared/bans.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { DEFAULT_NETWORK, type NetworkName, networkKindOf, requireNetworkName } from "../../shared/ids.ts";
import { encodePass, passClaim } from "../../shared/pass.ts";
import type { Identity } from "../identity/identity.ts";
import {
  type Authority,
  certify,
  type Invite,
  inviteAuthority,
  parseInvite,
  secretNetwork,
} from "../identity/invites.ts";
import { NetworkKeys } from "../identity/network-keys.ts";
import { verify } from "../identity/verify.ts";
import type { Clock } from "../runtime.ts";
import { Membership } from "../services/membership/membership.ts";
import { Admission } from "../session/admission.ts";
import type { NetworkAccess, OpenPrivateNetwork } from "./network-access.ts";

// Pages find all of it in this one part.
export { parseInvite, secretNetwork } from "../identity/invites.ts";
export { dateOf } from "../services/membership/issue.ts";
export { Networks } from "./networks.ts";

export const openPrivateNetwork: OpenPrivateNetwork = async (runtime, identity, options, storage) => {
  const keys = new NetworkKeys(storage);
  if (options.secret !== undefined) {
    if (options.invite !== undefined)
      throw new PeerloomError(
        "usage/invalid",
        "A network is joined by a secret or by an invite, not by both.",
      );
    const name = options.network === undefined ? DEFAULT_NETWORK : requireNetworkName(options.network);
    const { network, authority, psk } = await secretNetwork(name, options.secret);
    return member(runtime.clock, identity, { network, keys, authority, psk });
  }
  const named = options.network === undefined ? undefined : requireNetworkName(options.network);
  const invite = options.invite === undefined ? undefined : parseInvite(options.invite);
  const network = invite?.network ?? named ?? DEFAULT_NETWORK;
  if (named !== undefined && named !== network)
    throw new PeerloomError("usage/invalid", `The invite is for the network ${network}, not for ${named}.`);
  if (networkKindOf(network) === "secret")
    throw notMember("its members share a secret, which is needed here too");
  const invited = invite === undefined ? undefined : await inviteAuthority(invite);
  const authority = (await keys.owner(network)) ?? invited ?? (await keys.authority(network));
  if (authority === undefined)
    throw notMember("nothing here says that this peer is a member; give an invite");
  return member(runtime.clock, identity, { network, keys, authority, invite });
};

interface PrivateAccess {
  readonly network: NetworkName;
  readonly keys: NetworkKeys;
  readonly authority: Authority;
  /** Of a network by secret. */
  readonly psk?: Uint8Array;
  /** The one that this peer came with now. */
  readonly invite?: Invite | undefined;
}

async function member(
  clock: Clock,
  identity: Identity,
  { network, keys, authority, psk, invite }: PrivateAccess,
): Promise<NetworkAccess> {
  if (invite !== undefined && (await keys.invite(network)) === undefined) await keys.keepInvite(invite);
  const credential = await certify(authority, identity.id);
  const signed = psk === undefined ? await keys.bans(network) : undefined;
  const bans: BanList = signed === undefined ? emptyBans(network) : await checkBans(signed, network, verify);
  const admission = new Admission({
    network,
    clock,
    credential,
    psk,
    bans,
    uses: await keys.uses(network),
    keepUses: (uses) => keys.keepUses(network, uses),
  });
  return {
    network,
    admission,
    async pass(origin) {
      const timeMs = Math.trunc(clock.nowMs());
      const signature = await identity.sign(passClaim(origin, network, timeMs));
      return encodePass({ credential, timeMs, signature });
    },
    membership: (context) =>
      new Membership({ ...context, network, keys, admission, authority, bans: signed, invite }),
  };
}

function notMember(why: string): PeerloomError {
  return new PeerloomError("network/not-member", `This network is private: ${why}.`);
}
