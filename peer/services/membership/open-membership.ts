/**
 * Membership where everybody is a member, and the contract of all kinds: what private networks need besides (membership.ts) is not loaded by who is
 * in none.
 */
import type { Ability } from "../../../shared/credential.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { type PeerId, requirePeerId } from "../../../shared/ids.ts";
import type { Session } from "../../session/contract.ts";
import type { InviteOptions, MadeInvite } from "./issue.ts";

export interface BanReceipt {
  /** Of the list. */
  readonly number: number;
  /** The edge has it. */
  readonly edge: boolean;
  /** Peers that have it from this one; they pass it on. */
  readonly peers: number;
}

/** A peer's membership as an application sees it: what it may do and until when; and for who may, inviting and banning. */
export interface AnyMembership {
  /** `open`: everybody may come. */
  readonly kind: "open" | "secret" | "invite";
  /** Whether this peer may ban, and invite without limits. */
  readonly isOwner: boolean;
  /** What this peer may do. */
  readonly abilities: readonly Ability[];
  /** Wall clock, ms since 1970; undefined: never. */
  readonly expiresAtMs: number | undefined;
  /** Ids of peers and invites that the owner has banned, as far as this peer knows. */
  readonly banned: readonly PeerId[];
  /**
   * Makes an invite. Only an owner's, and one by an invite that is delegable, is worth anything.
   * @throws PeerloomError `network/not-owner`, `network/not-allowed`, `usage/invalid`
   * @example
   * const { url } = await peer.membership.invite({ uses: 1, ttlMs: 3_600_000 });
   */
  invite(options?: InviteOptions): Promise<MadeInvite>;
  /**
   * Puts out a peer, or everybody who came by an invite: sessions end with `network/banned`, new ones and the edge are refused.
   * @param id a peer id, or the id of an invite
   * @throws PeerloomError `network/not-owner`, `network/too-many-bans`, `id/invalid`, `aborted`
   */
  ban(id: string, signal?: AbortSignal): Promise<BanReceipt>;
  /** Takes a ban back. @throws PeerloomError as `ban` */
  unban(id: string, signal?: AbortSignal): Promise<BanReceipt>;

  // --- what the peer tells ---

  /** @throws PeerloomError `network/not-allowed` */
  require(ability: Ability): void;
  /** Whether another peer may do this here. */
  allows(peerId: PeerId, ability: Ability): boolean;
  begun(session: Session): void;
  joined(): void;
  fromEdge(signed: Uint8Array): void;
  close(): Promise<void>;
}

export class OpenMembership implements AnyMembership {
  readonly kind = "open";
  readonly isOwner = false;
  readonly abilities: readonly Ability[] = ["relay", "publish", "index", "compute"];
  readonly expiresAtMs = undefined;
  readonly banned: readonly PeerId[] = [];

  async invite(): Promise<MadeInvite> {
    throw noOwner();
  }

  async ban(id: string): Promise<BanReceipt> {
    requirePeerId(id);
    throw notOwner();
  }

  unban(id: string): Promise<BanReceipt> {
    return this.ban(id);
  }

  require(): void {}

  allows(): boolean {
    return true;
  }

  begun(): void {}

  joined(): void {}

  fromEdge(): void {}

  async close(): Promise<void> {}
}

export function noOwner(): PeerloomError {
  return new PeerloomError(
    "network/not-owner",
    "Invites are of networks that have an owner. Make one: peerloom network create",
  );
}

export function notOwner(): PeerloomError {
  return new PeerloomError("network/not-owner", "Only the network's owner bans: run this where its key is.");
}
