/**
 * What a private network's rendezvous writes down: the owner's ban list, and who came by invites with a use count. The first shard counts for all.
 * Nothing is written for an open network, nor for a member who was here before.
 */
import { type BanList, checkBans, emptyBans } from "../shared/bans.ts";
import type { CountedInvite } from "../shared/credential.ts";
import type { ErrorCode } from "../shared/errors.ts";
import type { NetworkName, PeerId } from "../shared/ids.ts";
import type { RelayLoan } from "./relay-quota.ts";
import { verifySignature } from "./verify.ts";

/**
 * Invites with a use count are remembered in 1,024 groups, by the first two characters of their keys, so that one more costs no more rows however
 * many there are. So many fit into each, 65,536 in all, and the first group is full at about 40,000; past that those that have ended or were revoked are
 * forgotten (one that is let in again counts anew), then no more are taken. One that is used up is remembered: who forgets it takes it again.
 */
export const INVITES_OF_GROUP_MAX = 64;
const GROUP_CHARACTERS = 2;
/**
 * Of its group, which is listed anyway, so many that have ended are forgotten with each that is new: a group shrinks, and what one join writes is
 * bounded. Nobody is woken for it: what a row costs to delete it costs to keep for years.
 */
export const ENDED_FORGOTTEN_MAX = 2;

interface Used {
  readonly expiresMs: number;
  readonly members: readonly PeerId[];
}

/** Members with a relay quota whose day is kept; past that those of earlier days are forgotten, then others wait for the next day. */
export const RELAY_ACCOUNTS_MAX = 4_096;

/** What relays passed, or were lent, for one member in a day. */
interface RelayAccount {
  readonly day: number;
  readonly bytes: number;
}

const DAY_MS = 86_400_000;
const RELAYED = "relayed:";
const BANS = "bans";
const USED = "used:";

/** Why an invite does not count one more. */
export type InviteRefusal = Extract<ErrorCode, "network/invite-used" | "network/too-many-invites">;

export class NetworkBook {
  readonly #storage: Pick<DurableObjectStorage, "kv">;
  #list: BanList | undefined;

  constructor(storage: Pick<DurableObjectStorage, "kv">) {
    this.#storage = storage;
  }

  /** The signed list, as it came. */
  get signed(): Uint8Array | undefined {
    return this.#storage.kv.get<Uint8Array>(BANS);
  }

  async bans(network: NetworkName): Promise<BanList> {
    const { signed } = this;
    this.#list ??=
      signed === undefined ? emptyBans(network) : await checkBans(signed, network, verifySignature);
    return this.#list;
  }

  /**
   * What a signed list says, if it is later than the one here.
   * @throws PeerloomError `network/not-owner`, `wire/malformed`, `wire/too-large`
   */
  async laterBans(signed: Uint8Array, network: NetworkName): Promise<BanList | undefined> {
    const list = await checkBans(signed, network, verifySignature);
    return list.number > (await this.bans(network)).number ? list : undefined;
  }

  /** @returns false when a later one has come meanwhile */
  keepBans(list: BanList, signed: Uint8Array): boolean {
    if (this.#list !== undefined && list.number <= this.#list.number) return false;
    this.#list = list;
    this.#storage.kv.put(BANS, signed);
    return true;
  }

  forgetBans(): void {
    this.#list = undefined;
    this.#storage.kv.delete(BANS);
  }

  /** Counts a member for each of its invites. One that was counted before costs nothing. */
  async use(
    network: NetworkName,
    invites: readonly CountedInvite[],
    member: PeerId,
    nowMs: number,
  ): Promise<InviteRefusal | undefined> {
    const { keys: revoked } = await this.bans(network);
    // Nobody is waited for from here on: two who come at once are counted one after the other.
    const fresh: { readonly key: string; readonly used: Used }[] = [];
    for (const { id, uses, expiresMs } of invites) {
      const key = USED + id;
      const members = this.#storage.kv.get<Used>(key)?.members ?? [];
      if (members.includes(member)) continue;
      if (members.length >= uses) return "network/invite-used";
      if (members.length === 0 && !this.#makeRoom(id, revoked, nowMs)) return "network/too-many-invites";
      fresh.push({ key, used: { expiresMs, members: [...members, member] } });
    }
    for (const { key, used } of fresh) this.#storage.kv.put(key, used);
    return undefined;
  }

  /** Bytes that relays may still pass for a member today. */
  relayLeft(member: PeerId, quotaBytes: number, nowMs: number): number {
    return quotaBytes - this.#relayed(member, nowMs);
  }

  /**
   * Lends a relay channel bytes of a member's day; what is given back, or was used beyond a loan (negative), is settled with it. A loan that is
   * never accounted for counts as used. One row written where anything changes.
   * @returns bytes lent, at most `wants`; 0: the day's quota is spent
   */
  lendRelay(member: PeerId, { quotaBytes, back, wants }: RelayLoan, nowMs: number): number {
    const key = RELAYED + member;
    const day = Math.floor(nowMs / DAY_MS);
    if (this.#storage.kv.get(key) === undefined && !this.#hasRoomForAccount(day)) return 0;
    const used = Math.max(0, this.#relayed(member, nowMs) - back);
    const lent = Math.max(0, Math.min(wants, quotaBytes - used));
    if (lent > 0 || back !== 0) this.#storage.kv.put(key, { day, bytes: used + lent });
    return lent;
  }

  #relayed(member: PeerId, nowMs: number): number {
    const kept = this.#storage.kv.get<RelayAccount>(RELAYED + member);
    return kept?.day === Math.floor(nowMs / DAY_MS) ? kept.bytes : 0;
  }

  #hasRoomForAccount(day: number): boolean {
    const all = [...this.#storage.kv.list<RelayAccount>({ prefix: RELAYED, limit: RELAY_ACCOUNTS_MAX })];
    if (all.length < RELAY_ACCOUNTS_MAX) return true;
    const past = all.filter(([, account]) => account.day !== day);
    for (const [key] of past) this.#storage.kv.delete(key);
    return past.length > 0;
  }

  #makeRoom(invite: PeerId, revoked: ReadonlySet<PeerId>, nowMs: number): boolean {
    const prefix = USED + invite.slice(0, GROUP_CHARACTERS);
    const all = [...this.#storage.kv.list<Used>({ prefix, limit: INVITES_OF_GROUP_MAX })];
    const isFull = all.length >= INVITES_OF_GROUP_MAX;
    const ended = all.filter(
      ([key, { expiresMs }]) =>
        expiresMs <= nowMs || (isFull && revoked.has(key.slice(USED.length) as PeerId)),
    );
    if (!isFull) ended.splice(ENDED_FORGOTTEN_MAX);
    for (const [key] of ended) this.#storage.kv.delete(key);
    return !isFull || ended.length > 0;
  }
}
