/**
 * The private networks that a host owns or was invited to, without a peer: making a network or an invite needs nobody else. What needs others, a ban,
 * is a peer's (`peer.membership`).
 */
import { type BanList, checkBans, emptyBans } from "../../shared/bans.ts";
import { fromBase64Url, toBase64Url } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { type NetworkName, requireNetworkName } from "../../shared/ids.ts";
import { encodePass, PASS_HEADER, passClaim } from "../../shared/pass.ts";
import { SEED_BYTES } from "../identity/identity.ts";
import { certify } from "../identity/invites.ts";
import { NetworkKeys } from "../identity/network-keys.ts";
import { verify } from "../identity/verify.ts";
import type { KeyValueStorage, Runtime } from "../runtime.ts";
import {
  type InviteOptions,
  issueInvite,
  type MadeInvite,
  shownInvite,
} from "../services/membership/issue.ts";
import { askEdge } from "./ask-edge.ts";

export interface ListedInvite extends Omit<MadeInvite, "url"> {
  readonly state: "good" | "expired" | "revoked";
}

/** A network's members at one edge; plain data, for people and programs. */
export interface NetworkRoster {
  readonly members: readonly {
    readonly id: string;
    /** It keeps its socket to introduce newcomers. */
    readonly beacon: boolean;
    readonly expiresMs: number;
    /** Ids of the invites that it came by. */
    readonly invites: readonly string[];
  }[];
  /** Members beyond those that are named. */
  readonly more: number;
  /** Number of the ban list. */
  readonly bans: number;
  readonly banned: readonly string[];
}

/** What the text of an owner's key begins with. */
const OWNER_KEY = "peerloom:owner/";

export class Networks {
  readonly #runtime: Pick<Runtime, "clock" | "random">;
  readonly #keys: NetworkKeys;

  constructor(runtime: Pick<Runtime, "clock" | "random">, storage: KeyValueStorage) {
    this.#runtime = runtime;
    this.#keys = new NetworkKeys(storage);
  }

  /**
   * Makes a network whose owner is this host. @returns its name
   * @example
   * const network = await networks({ dataDir }).create();
   * await using peer = await Peer.open({ dataDir, network });
   */
  async create(): Promise<NetworkName> {
    return (await this.#keys.create(this.#runtime.random)).network;
  }

  /**
   * The key by which a network is owned, as text: whoever has it is the owner. `own` takes it, and so does the edge's page `/admin`.
   * @throws PeerloomError `network/not-owner`, `network/invalid-name`
   */
  async ownerKey(network: string): Promise<string> {
    const seed = await this.#keys.ownerSeed(requireNetworkName(network));
    if (seed === undefined) throw notOwner();
    return OWNER_KEY + toBase64Url(seed);
  }

  /**
   * Makes this host an owner, by the key of `ownerKey`. @returns the network's name
   * @throws PeerloomError `usage/invalid` when it is no such key
   */
  async own(key: string): Promise<NetworkName> {
    const text = key.trim();
    const seed = text.startsWith(OWNER_KEY) ? fromBase64Url(text.slice(OWNER_KEY.length)) : undefined;
    if (seed?.length !== SEED_BYTES)
      throw new PeerloomError(
        "usage/invalid",
        `This is no owner's key. It begins with ${OWNER_KEY}; where the network was made, "peerloom network key" prints it.`,
      );
    return (await this.#keys.own(seed)).network;
  }

  /** Networks owned here. */
  async owned(): Promise<readonly NetworkName[]> {
    return this.#keys.owned();
  }

  /** The one that is named, else the only one that is owned here. @throws PeerloomError `usage/invalid`, `network/invalid-name` */
  async named(name?: string): Promise<NetworkName> {
    if (name !== undefined) return requireNetworkName(name);
    const [only, ...others] = await this.owned();
    if (only !== undefined && others.length === 0) return only;
    const text =
      only === undefined
        ? "No network was made here. Make one with: peerloom network create   or name one with --network."
        : `Several networks were made here: name one with --network: ${[only, ...others].join(" ")}`;
    throw new PeerloomError("usage/invalid", text);
  }

  /**
   * Makes an invite, as its owner or by an invite that may be passed on.
   * @param options.edge origin that newcomers join; without it they are to be told otherwise
   * @throws PeerloomError `network/not-member`, `network/not-allowed`, `network/invalid-name`, `usage/invalid`
   */
  async invite(
    network: string,
    options: InviteOptions & { readonly edge?: string | undefined } = {},
  ): Promise<MadeInvite> {
    const { edge, ...terms } = options;
    const name = requireNetworkName(network);
    const authority = await this.#keys.authority(name);
    if (authority === undefined) {
      throw new PeerloomError(
        "network/not-member",
        `Nothing here may invite to ${name}: neither its owner's key nor an invite.`,
      );
    }
    const origin = edge === undefined ? undefined : new URL(edge).origin;
    return issueInvite({ authority, keys: this.#keys, edge: origin, runtime: this.#runtime }, terms);
  }

  /**
   * Who is in a network that is owned here, as an edge sees it. The edge's ban list is kept here, if it is later than the one here.
   * @throws PeerloomError `network/not-owner`, `edge/unreachable`, what the edge says (`network/banned`, `edge/rate-limited`), `aborted`
   */
  async roster(network: string, edge: string, signal?: AbortSignal): Promise<NetworkRoster> {
    const name = requireNetworkName(network);
    const owner = await this.#keys.owner(name);
    if (owner === undefined) throw notOwner();
    const { origin } = new URL(edge);
    const timeMs = Math.trunc(this.#runtime.clock.nowMs());
    const credential = await certify(owner, owner.key.id);
    const signature = await owner.key.sign(passClaim(origin, name, timeMs));
    const pass = encodePass({ credential, timeMs, signature });
    const answer = await askEdge(new URL(`/v1/net/${name}/members`, origin), { [PASS_HEADER]: pass }, signal);
    const { signedBans, ...roster } = answer as NetworkRoster & { readonly signedBans?: unknown };
    await this.#learnBans(name, signedBans);
    return roster;
  }

  /** Invites made here, and whether they still hold as far as this host knows. */
  async invites(network: string): Promise<readonly ListedInvite[]> {
    const name = requireNetworkName(network);
    const { keys: banned } = await this.#bans(name);
    const nowMs = this.#runtime.clock.nowMs();
    return (await this.#keys.issued(name)).map((one) => ({
      ...shownInvite(one),
      state: banned.has(one.id) ? "revoked" : one.expiresMs <= nowMs ? "expired" : "good",
    }));
  }

  async #bans(network: NetworkName): Promise<BanList> {
    const signed = await this.#keys.bans(network);
    return signed === undefined ? emptyBans(network) : checkBans(signed, network, verify);
  }

  /** Only what the owner has signed: an edge could make up a list, and have the owner sign it with the next ban. */
  async #learnBans(network: NetworkName, text: unknown): Promise<void> {
    const signed = typeof text === "string" ? fromBase64Url(text) : undefined;
    if (signed === undefined) return;
    const { number } = await checkBans(signed, network, verify);
    if (number > (await this.#bans(network)).number) await this.#keys.keepBans(network, signed);
  }
}

function notOwner(): PeerloomError {
  return new PeerloomError("network/not-owner", "Only the network's owner may: run this where its key is.");
}
