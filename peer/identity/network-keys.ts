/**
 * What a host keeps of private networks beside the identity: keys of networks it owns, the invite it came with, the latest ban list, whom counted
 * invites have brought. The first two are as secret as the identity.
 */
import { concatBytes } from "../../shared/bytes.ts";
import { decode, encode } from "../../shared/codec.ts";
import { PeerloomError } from "../../shared/errors.ts";
import {
  type NetworkName,
  networkKindOf,
  parseNetworkName,
  type PeerId,
  parsePeerId,
  peerIdFromKey,
  PUBLIC_KEY_BYTES,
  publicKeyOf,
} from "../../shared/ids.ts";
import type { KeyValueStorage, Random } from "../runtime.ts";
import { identityFromSeed, SEED_BYTES } from "./identity.ts";
import {
  type Authority,
  decodeInvite,
  encodeInvite,
  type Invite,
  inviteAuthority,
  ownerAuthority,
} from "./invites.ts";

/** Networks of one owner; past that the oldest is no longer listed, and still there by its name. */
const OWNED_MAX = 64;
/** Invites that are listed; past that the oldest is left out, and works as before. */
const ISSUED_MAX = 256;
const LISTS = { bytesMax: 65_536, depthMax: 3, itemsMax: 9 * ISSUED_MAX } as const;

const USE_BYTES: number = 2 * PUBLIC_KEY_BYTES;

/** Who came by an invite with a use count. */
export type InviteUse = readonly [invite: PeerId, member: PeerId];

/** An invite that was made here; the invite itself is not kept. */
export interface IssuedInvite {
  /** What `revoke` takes. */
  readonly id: PeerId;
  /** Bits of `ABILITY`. */
  readonly abilities: number;
  readonly expiresMs: number;
  /** 0: any number. */
  readonly uses: number;
  readonly delegations: number;
  /** Undefined: no bound. */
  readonly relayBytesPerDay?: number | undefined;
  readonly madeMs: number;
}

export class NetworkKeys {
  readonly #storage: KeyValueStorage;
  /** Lists are read and written again: one after the other. */
  #writing: Promise<unknown> = Promise.resolve();

  constructor(storage: KeyValueStorage) {
    this.#storage = storage;
  }

  /** Makes a network that is owned here. */
  async create(random: Random): Promise<Authority> {
    return this.own(random.bytes(SEED_BYTES));
  }

  /** Keeps the key of a network, which is owned here from now on. @param seed 32 bytes */
  async own(seed: Uint8Array): Promise<Authority> {
    const owner = await identityFromSeed(seed);
    const authority = ownerAuthority(owner);
    await this.#storage.set(`owner-${owner.id}`, seed);
    await this.#inTurn(async () => {
      const others = (await this.owned()).filter((network) => network !== authority.network);
      await this.#storage.set("owned-networks", encode([...others, authority.network].slice(-OWNED_MAX)));
    });
    return authority;
  }

  /** The owner's key, if the network is owned here. */
  async ownerSeed(network: NetworkName): Promise<Uint8Array | undefined> {
    return networkKindOf(network) === "invite" ? this.#bytes(`owner-${network.slice(2)}`) : undefined;
  }

  /** Networks that are owned here. */
  async owned(): Promise<readonly NetworkName[]> {
    const names = await this.#list("owned-networks");
    return names.flatMap((name) => (typeof name === "string" ? (parseNetworkName(name) ?? []) : []));
  }

  /** The owner's word, if the network is owned here. */
  async owner(network: NetworkName): Promise<Authority | undefined> {
    const seed = await this.ownerSeed(network);
    return seed === undefined ? undefined : ownerAuthority(await identityFromSeed(seed));
  }

  /** The invite that this host came with. @throws PeerloomError `network/invite-invalid` when what is kept is none */
  async invite(network: NetworkName): Promise<Invite | undefined> {
    const bytes =
      networkKindOf(network) === "invite" ? await this.#bytes(`invite-${network.slice(2)}`) : undefined;
    return bytes === undefined ? undefined : decodeInvite(bytes);
  }

  /** By whose word this host is in a network: its own, or that of the invite it came with. @throws PeerloomError `network/invite-invalid` */
  async authority(network: NetworkName): Promise<Authority | undefined> {
    const owner = await this.owner(network);
    if (owner !== undefined) return owner;
    const invite = await this.invite(network);
    return invite === undefined ? undefined : inviteAuthority(invite);
  }

  async keepInvite(invite: Invite): Promise<void> {
    await this.#storage.set(`invite-${invite.network.slice(2)}`, encodeInvite(invite));
  }

  /** The signed list; undefined when there is none. */
  async bans(network: NetworkName): Promise<Uint8Array | undefined> {
    return this.#bytes(`bans-${network.slice(2)}`);
  }

  async keepBans(network: NetworkName, signed: Uint8Array): Promise<void> {
    await this.#storage.set(`bans-${network.slice(2)}`, signed);
  }

  /** Uses of counted invites that this host has seen. */
  async uses(network: NetworkName): Promise<readonly InviteUse[]> {
    const bytes = (await this.#bytes(`uses-${network.slice(2)}`)) ?? new Uint8Array(0);
    const key = (at: number): PeerId => peerIdFromKey(bytes.subarray(at, at + PUBLIC_KEY_BYTES));
    return Array.from({ length: Math.floor(bytes.length / USE_BYTES) }, (_, index) => [
      key(index * USE_BYTES),
      key(index * USE_BYTES + PUBLIC_KEY_BYTES),
    ]);
  }

  async keepUses(network: NetworkName, uses: readonly InviteUse[]): Promise<void> {
    const bytes = concatBytes(...uses.flat().map(publicKeyOf));
    await this.#inTurn(() => this.#storage.set(`uses-${network.slice(2)}`, bytes));
  }

  /** Invites made here, the latest last. */
  async issued(network: NetworkName): Promise<readonly IssuedInvite[]> {
    return (await this.#list(`issued-${network.slice(2)}`)).flatMap(readIssued);
  }

  async keepIssued(network: NetworkName, invite: IssuedInvite): Promise<void> {
    await this.#inTurn(async () => {
      const all = [...(await this.issued(network)), invite].slice(-ISSUED_MAX);
      const rows = all.map((one) => [
        one.id,
        one.abilities,
        one.expiresMs,
        one.uses,
        one.delegations,
        one.madeMs,
        one.relayBytesPerDay ?? 0,
      ]);
      await this.#storage.set(`issued-${network.slice(2)}`, encode(rows));
    });
  }

  async #inTurn(task: () => Promise<void>): Promise<void> {
    const mine = this.#writing.then(task);
    this.#writing = mine.catch(() => undefined); // told to whom it concerns
    await mine;
  }

  async #list(key: string): Promise<readonly unknown[]> {
    const bytes = await this.#bytes(key);
    const value = bytes === undefined ? [] : decode(bytes, LISTS);
    return Array.isArray(value) ? value : [];
  }

  async #bytes(key: string): Promise<Uint8Array | undefined> {
    const value = await this.#storage.get(key);
    if (value === undefined || value instanceof Uint8Array) return value;
    throw new PeerloomError("identity/unreadable", `"${key}" does not hold bytes. Restore it from a backup.`);
  }
}

function readIssued(item: unknown): IssuedInvite[] {
  if (!Array.isArray(item)) return [];
  // The last was not written by those who knew no quota.
  const [text, abilities, expiresMs, uses, delegations, madeMs, quota = 0] = item as unknown[];
  const id = typeof text === "string" ? parsePeerId(text) : undefined;
  const numbers = [abilities, expiresMs, uses, delegations, madeMs, quota].map(Number);
  if (id === undefined || !numbers.every(Number.isSafeInteger)) return [];
  const [a = 0, e = 0, u = 0, d = 0, m = 0, q = 0] = numbers;
  return [
    {
      id,
      abilities: a,
      expiresMs: e,
      uses: u,
      delegations: d,
      madeMs: m,
      relayBytesPerDay: q || undefined,
    },
  ];
}
