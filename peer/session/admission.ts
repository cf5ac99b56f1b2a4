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
import { verify } from "../identity/verify.ts";
import type { Clock } from "../runtime.ts";
import type { Membership } from "./hello.ts";

/** Peers whose credentials are known; past that the one heard of longest ago is forgotten, and shows it again when it comes. */
const KNOWN_MAX = 4_096;
/** Invites with a use count whose members are remembered; past that the count of the oldest begins anew. */
const COUNTED_MAX = 1_024;

export interface AdmissionOptions {
  readonly network: NetworkName;
  readonly clock: Pick<Clock, "nowMs">;
  /** This peer's own. */
  readonly credential: Uint8Array;
  /** Of a network by secret. */
  readonly psk?: Uint8Array | undefined;
  readonly bans: BanList;
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
  #bans: BanList;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.psk = options.psk;
    this.#bans = options.bans;
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
    const refusal = this.#refusal(credential, clock.nowMs()) ?? this.#use(credential.counted, peerId);
    if (refusal !== undefined) throw refused(peerId, refusal);
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

  /** Counts by what this peer has seen: with the edge there, the edge counts before; without it, each peer for itself. */
  #use(counted: readonly CountedInvite[], member: PeerId): ErrorCode | undefined {
    for (const { id, uses } of counted) {
      const members = this.#used.get(id);
      if (members !== undefined && !members.has(member) && members.size >= uses) return "network/invite-used";
    }
    for (const { id } of counted) {
      const members = this.#used.get(id) ?? new Set();
      members.add(member);
      this.#used.set(id, members);
      if (this.#used.size > COUNTED_MAX) this.#used.delete(this.#used.keys().next().value as PeerId);
    }
    return undefined;
  }
}

function refused(peerId: PeerId, code: ErrorCode): PeerloomError {
  return new PeerloomError(code, `${short(peerId)} is not let in: ${REFUSAL_TEXT[code] ?? code}`);
}
