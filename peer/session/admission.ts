/**
 * Who is let into sessions of a private network. A peer shows its credential inside the handshake, where only the other end can read it, and
 * is held to it for as long as the session stands: until it ends, or the owner bans it. In a network by secret the handshake itself
 * proves that the other side has the secret, and nothing more is asked.
 */
import type { BanList } from "../../shared/bans.ts";
import {
  ABILITIES_ALL,
  checkCredential,
  type CountedInvite,
  type Credential,
  refusalOf,
  REFUSAL_TEXT,
} from "../../shared/credential.ts";
import { type ErrorCode, PeerloomError } from "../../shared/errors.ts";
import { type NetworkName, networkKindOf, type PeerId, short } from "../../shared/ids.ts";
import type { InviteUse } from "../identity/network-keys.ts";
import { verify } from "../identity/verify.ts";
import type { Clock } from "../runtime.ts";
import type { Membership } from "./hello.ts";

/** Peers whose credentials are known; past that the one heard of longest ago is forgotten, and shows it again when it comes. */
const KNOWN_MAX = 4_096;
/** Invites with a use count whose members are remembered; past that the count of the oldest begins anew. */
const COUNTED_MAX = 1_024;
/** Uses that outlive a restart; past that the oldest are forgotten by it. */
const USES_KEPT_MAX = 1_024;

export interface AdmissionOptions {
  readonly network: NetworkName;
  readonly clock: Pick<Clock, "nowMs">;
  /** This peer's own. */
  readonly credential: Uint8Array;
  /** Of a network by secret. */
  readonly psk?: Uint8Array | undefined;
  readonly bans: BanList;
  /** What an earlier run of this peer saw. */
  readonly uses?: readonly InviteUse[];
  /** Keeps them for the next run. */
  readonly keepUses?: (uses: readonly InviteUse[]) => Promise<void>;
}

interface Known {
  readonly credential: Credential;
  /** The number of the ban list that it knew when it came. */
  readonly bans: number;
}

export class Admission {
  readonly psk: Uint8Array | undefined;
  readonly #options: AdmissionOptions;
  readonly #known = new Map<PeerId, Known>();
  /** Of each invite with a use count, the members that came first. */
  readonly #used = new Map<PeerId, Set<PeerId>>();
  /** The latest of them, in the order of their coming. */
  #uses: readonly InviteUse[];
  #bans: BanList;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.psk = options.psk;
    this.#bans = options.bans;
    this.#uses = options.uses ?? [];
    for (const [invite, member] of this.#uses) this.#count(invite, member);
  }

  /** What others are shown in a handshake. */
  get shown(): Membership | undefined {
    if (this.psk !== undefined) return undefined;
    return { credential: this.#options.credential, bans: this.#bans.number };
  }

  get bans(): BanList {
    return this.#bans;
  }

  /** @returns false when the list is no later one */
  adopt(list: BanList): boolean {
    if (list.number <= this.#bans.number) return false;
    this.#bans = list;
    return true;
  }

  /**
   * Lets a peer that has proved its key into a session, or not.
   * @throws PeerloomError `network/not-member`, `network/expired`, `network/banned`, `network/invite-used`, `wire/malformed`
   */
  async admit(peerId: PeerId, shown: Membership | undefined): Promise<void> {
    const { network, clock } = this.#options;
    if (networkKindOf(network) !== "invite") return;
    if (shown === undefined) throw refused(peerId, "network/not-member");
    const credential = await checkCredential(shown.credential, network, verify);
    if (credential.member !== peerId) throw refused(peerId, "network/not-member");
    const { counted } = credential;
    const refusal = this.#refusal(credential, clock.nowMs()) ?? this.#refusalOfUse(counted, peerId);
    if (refusal !== undefined) throw refused(peerId, refusal);
    await this.#use(counted, peerId);
    this.#known.delete(peerId);
    this.#known.set(peerId, { credential, bans: shown.bans });
    if (this.#known.size > KNOWN_MAX) this.#known.delete(this.#known.keys().next().value as PeerId);
  }

  /** Why a peer that was let in may not stay, or undefined. */
  refusalOf(peerId: PeerId): ErrorCode | undefined {
    const known = this.#known.get(peerId);
    if (known !== undefined) return this.#refusal(known.credential, this.#options.clock.nowMs());
    return this.psk === undefined ? "network/not-member" : undefined; // forgotten: it may come and show it again
  }

  /** Bits of `ABILITY`. Who has the secret of a network may do everything; who is not known, nothing. */
  abilitiesOf(peerId: PeerId): number {
    if (this.psk !== undefined) return ABILITIES_ALL;
    return this.#known.get(peerId)?.credential.abilities ?? 0;
  }

  /** Number of the ban list that a peer knew when it came. */
  bansKnownTo(peerId: PeerId): number {
    return this.#known.get(peerId)?.bans ?? 0;
  }

  /** Wall clock: when the first of these has no membership any more. */
  firstExpiryMs(peers: readonly PeerId[]): number {
    return Math.min(
      ...peers.map((id) => this.#known.get(id)?.credential.expiresMs ?? Number.POSITIVE_INFINITY),
    );
  }

  #refusal(credential: Credential, nowMs: number): ErrorCode | undefined {
    return refusalOf(credential, nowMs, (key) => this.#bans.keys.has(key));
  }

  /** By what this peer has seen: with the edge there, the edge counts before; without it, each peer for itself. */
  #refusalOfUse(counted: readonly CountedInvite[], member: PeerId): ErrorCode | undefined {
    const isUsedUp = counted.some(
      ({ id, uses }) => !this.#isCounted(id, member) && (this.#used.get(id)?.size ?? 0) >= uses,
    );
    return isUsedUp ? "network/invite-used" : undefined;
  }

  /** What is new is written before the member is in; a disk that fails keeps nobody out. */
  async #use(counted: readonly CountedInvite[], member: PeerId): Promise<void> {
    const fresh = counted
      .filter(({ id }) => !this.#isCounted(id, member))
      .map(({ id }): InviteUse => [id, member]);
    if (fresh.length === 0) return;
    for (const [invite] of fresh) this.#count(invite, member);
    this.#uses = [...this.#uses, ...fresh].slice(-USES_KEPT_MAX);
    await this.#options.keepUses?.(this.#uses).catch(() => undefined);
  }

  #count(invite: PeerId, member: PeerId): void {
    const members = this.#used.get(invite) ?? new Set();
    this.#used.set(invite, members.add(member));
    if (this.#used.size > COUNTED_MAX) this.#used.delete(this.#used.keys().next().value as PeerId);
  }

  #isCounted(invite: PeerId, member: PeerId): boolean {
    return this.#used.get(invite)?.has(member) === true;
  }
}

function refused(peerId: PeerId, code: ErrorCode): PeerloomError {
  return new PeerloomError(code, `${short(peerId)} is not let in: ${REFUSAL_TEXT[code] ?? code}`);
}
