/**
 * A peer's membership as an application sees it: what it may do and until when; and for who may, inviting and banning. What makes and
 * checks the signatures lies below (identity/invites.ts, session/admission.ts).
 */
import { BANS_MAX, bansClaim, type BanList, encodeBans, encodeSignedBans } from "../../../shared/bans.ts";
import { ABILITIES_ALL, type Ability, ABILITY, NEVER_MS, REFUSAL_TEXT } from "../../../shared/credential.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { type NetworkName, networkKindOf, type PeerId, requirePeerId } from "../../../shared/ids.ts";
import type { Authority } from "../../identity/invites.ts";
import type { NetworkKeys } from "../../identity/network-keys.ts";
import type { Admission } from "../../session/admission.ts";
import type { Session } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import { BanLists } from "./ban-list.ts";
import { abilitiesOf, dateOf, type InviteOptions, issueInvite, type MadeInvite } from "./issue.ts";

export interface BanReceipt {
  /** Of the list. */
  readonly number: number;
  /** The edge has it. */
  readonly edge: boolean;
  /** Peers that have it from this one; they pass it on. */
  readonly peers: number;
}

export interface MembershipOptions {
  readonly host: ServiceHost;
  readonly network: NetworkName;
  readonly keys: NetworkKeys;
  readonly edge: string | undefined;
  readonly admission: Admission | undefined;
  readonly authority: Authority | undefined;
  readonly bans: Uint8Array | undefined;
  tellEdge(signed: Uint8Array): boolean;
}

export class Membership {
  /** `open`: everybody may come. */
  readonly kind: "open" | "secret" | "invite";
  readonly #options: MembershipOptions;
  readonly #lists: BanLists | undefined;

  constructor(options: MembershipOptions) {
    this.#options = options;
    const { host, network, keys, admission, bans } = options;
    this.kind = networkKindOf(network);
    if (this.kind === "invite" && admission !== undefined) {
      const tellEdge = (signed: Uint8Array): boolean => options.tellEdge(signed);
      this.#lists = new BanLists({ host, network, keys, admission, signed: bans, tellEdge });
    }
  }

  /** Whether this peer may ban, and invite without limits. */
  get isOwner(): boolean {
    return this.kind === "invite" && this.#options.authority?.chain.length === 0;
  }

  /** What this peer may do. */
  get abilities(): readonly Ability[] {
    return abilitiesOf(this.#options.authority?.limits.abilities ?? ABILITIES_ALL);
  }

  /** Wall clock, ms since 1970; undefined: never. */
  get expiresAtMs(): number | undefined {
    return dateOf(this.#options.authority?.limits.expiresMs ?? NEVER_MS);
  }

  /** Ids of peers and invites that the owner has banned, as far as this peer knows. */
  get banned(): readonly PeerId[] {
    return [...(this.#lists?.list.keys ?? [])].sort();
  }

  /**
   * Makes an invite. Only an owner's, and one by an invite that is delegable, is worth anything.
   * @throws PeerloomError `network/not-owner`, `network/not-allowed`, `usage/invalid`
   * @example
   * const { url } = await peer.membership.invite({ uses: 1, ttlMs: 3_600_000 });
   */
  async invite(options: InviteOptions = {}): Promise<MadeInvite> {
    const { host, authority, keys, edge } = this.#options;
    if (this.kind !== "invite" || authority === undefined)
      throw new PeerloomError(
        "network/not-owner",
        `Invites are of networks that have an owner. Make one: peerloom network create`,
      );
    return issueInvite({ authority, keys, edge, runtime: host.runtime }, options);
  }

  /**
   * Puts out a peer, or everybody who came by an invite: sessions end with `network/banned`, new ones and the edge are refused.
   * @param id a peer id, or the id of an invite
   * @throws PeerloomError `network/not-owner`, `network/too-many-bans`, `id/invalid`, `aborted`
   */
  async ban(id: string, signal?: AbortSignal): Promise<BanReceipt> {
    const key = requirePeerId(id);
    return this.#change((keys) => keys.add(key), signal);
  }

  /** Takes a ban back. @throws PeerloomError as `ban` */
  async unban(id: string, signal?: AbortSignal): Promise<BanReceipt> {
    const key = requirePeerId(id);
    return this.#change((keys) => keys.delete(key), signal);
  }

  // --- what the peer tells ---

  /** @throws PeerloomError `network/not-allowed` */
  require(ability: Ability): void {
    if (this.abilities.includes(ability)) return;
    throw new PeerloomError("network/not-allowed", REFUSAL_TEXT["network/not-allowed"] ?? "Not allowed.");
  }

  /** Whether another peer may do this here. */
  allows(peerId: PeerId, ability: Ability): boolean {
    return ((this.#options.admission?.abilitiesOf(peerId) ?? ABILITIES_ALL) & ABILITY[ability]) !== 0;
  }

  begun(session: Session): void {
    this.#lists?.begun(session);
  }

  joined(): void {
    this.#lists?.joined();
  }

  fromEdge(signed: Uint8Array): void {
    this.#lists?.fromEdge(signed);
  }

  async close(): Promise<void> {
    await this.#lists?.close();
  }

  async #change(edit: (keys: Set<PeerId>) => void, signal?: AbortSignal): Promise<BanReceipt> {
    const { authority, network, keys: store, host } = this.#options;
    const lists = this.#lists;
    if (lists === undefined || authority === undefined || !this.isOwner)
      throw new PeerloomError(
        "network/not-owner",
        "Only the network's owner bans: run this where its key is.",
      );
    // Another process of the owner may have written a later list.
    const kept = await store.bans(network);
    if (kept !== undefined) await lists.adopt(kept);
    const keys = new Set(lists.list.keys);
    edit(keys);
    if (keys.size > BANS_MAX) {
      throw new PeerloomError(
        "network/too-many-bans",
        `At most ${BANS_MAX} bans. Take some back, such as those of invites that have ended, or make a new network.`,
      );
    }
    const list: BanList = { network, number: lists.list.number + 1, keys };
    const body = encodeBans(list);
    await lists.adopt(encodeSignedBans(body, await authority.key.sign(bansClaim(body))));
    const within = signal ?? new AbortController().signal;
    await host.isLinked(within);
    return { number: list.number, ...(await lists.spread(within)) };
  }
}
