/**
 * A peer's membership of a private network as an application sees it: what it may do and until when; and for who may, inviting and banning. What
 * makes and checks the signatures lies below (identity/invites.ts, session/admission.ts). Pages load it with the first private network.
 */
import { BANS_MAX, bansClaim, type BanList, encodeBans, encodeSignedBans } from "../../../shared/bans.ts";
import { type Ability, ABILITY, REFUSAL_TEXT } from "../../../shared/credential.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { type NetworkName, networkKindOf, type PeerId, requirePeerId } from "../../../shared/ids.ts";
import type { Authority, Invite } from "../../identity/invites.ts";
import type { NetworkKeys } from "../../identity/network-keys.ts";
import type { Admission } from "../../session/admission.ts";
import type { Session } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import { BanLists } from "./ban-list.ts";
import { abilitiesOf, dateOf, type InviteOptions, issueInvite, type MadeInvite } from "./issue.ts";
import { type AnyMembership, type BanReceipt, noOwner, notOwner } from "./open-membership.ts";

export interface MembershipOptions {
  readonly host: ServiceHost;
  readonly network: NetworkName;
  readonly keys: NetworkKeys;
  readonly edge: string | undefined;
  readonly admission: Admission;
  readonly authority: Authority;
  readonly bans: Uint8Array | undefined;
  /** The one that this peer came with now. */
  readonly invite: Invite | undefined;
  tellEdge(signed: Uint8Array): boolean;
}

export class Membership implements AnyMembership {
  readonly kind: "open" | "secret" | "invite";
  readonly #options: MembershipOptions;
  readonly #lists: BanLists | undefined;
  #keeping: Promise<void> | undefined;
  /** Changes of the list are made one after the other: two that begin with the same one would have the same number, and one of them be nothing new. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(options: MembershipOptions) {
    this.#options = options;
    const { host, network, keys, admission, bans } = options;
    this.kind = networkKindOf(network);
    if (this.kind === "invite") {
      const tellEdge = (signed: Uint8Array): boolean => options.tellEdge(signed);
      this.#lists = new BanLists({ host, network, keys, admission, signed: bans, tellEdge });
    }
  }

  get isOwner(): boolean {
    return this.kind === "invite" && this.#options.authority.chain.length === 0;
  }

  get abilities(): readonly Ability[] {
    return abilitiesOf(this.#options.authority.limits.abilities);
  }

  get expiresAtMs(): number | undefined {
    return dateOf(this.#options.authority.limits.expiresMs);
  }

  get banned(): readonly PeerId[] {
    return [...(this.#lists?.list.keys ?? [])].sort();
  }

  async invite(options: InviteOptions = {}): Promise<MadeInvite> {
    const { host, authority, keys, edge } = this.#options;
    if (this.kind !== "invite") throw noOwner();
    return issueInvite({ authority, keys, edge, runtime: host.runtime }, options);
  }

  async ban(id: string, signal?: AbortSignal): Promise<BanReceipt> {
    const key = requirePeerId(id);
    return this.#change((keys) => keys.add(key), signal);
  }

  async unban(id: string, signal?: AbortSignal): Promise<BanReceipt> {
    const key = requirePeerId(id);
    return this.#change((keys) => keys.delete(key), signal);
  }

  // --- what the peer tells ---

  require(ability: Ability): void {
    if (this.abilities.includes(ability)) return;
    throw new PeerloomError("network/not-allowed", REFUSAL_TEXT["network/not-allowed"] ?? "Not allowed.");
  }

  allows(peerId: PeerId, ability: Ability): boolean {
    return (this.#options.admission.abilitiesOf(peerId) & ABILITY[ability]) !== 0;
  }

  begun(session: Session): void {
    this.#letIn();
    this.#lists?.begun(session);
  }

  joined(): void {
    this.#letIn();
    this.#lists?.joined();
  }

  fromEdge(signed: Uint8Array): void {
    this.#lists?.fromEdge(signed);
  }

  async close(): Promise<void> {
    await this.#keeping;
    await this.#lists?.close();
  }

  /** Not before does an invite take the place of the one that was kept: refused, it would have cost a membership. */
  #letIn(): void {
    const { invite, keys, host } = this.#options;
    if (invite === undefined) return;
    this.#keeping ??= keys
      .keepInvite(invite)
      .catch((error: unknown) => host.runtime.log.warn("invite not kept", { error: String(error) }));
  }

  async #change(edit: (keys: Set<PeerId>) => void, signal?: AbortSignal): Promise<BanReceipt> {
    const { host } = this.#options;
    const lists = this.#lists;
    if (lists === undefined || !this.isOwner) throw notOwner();
    const changing = this.#changing.then(() => this.#write(lists, edit));
    this.#changing = changing.catch(() => {}); // told to whom it concerns
    const number = await changing;
    const within = signal ?? new AbortController().signal;
    await host.isLinked(within);
    return { number, ...(await lists.spread(within)) };
  }

  /** @returns the number of the new list, which is in force here */
  async #write(lists: BanLists, edit: (keys: Set<PeerId>) => void): Promise<number> {
    const { authority, network, keys: store } = this.#options;
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
    return lists.adopt(encodeSignedBans(body, await authority.key.sign(bansClaim(body))));
  }
}
