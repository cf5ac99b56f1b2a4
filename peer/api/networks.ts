/**
 * The private networks that a host owns or was invited to, without a peer: making a network or an invite needs nobody else. What needs others, a ban,
 * is a peer's (`peer.membership`).
 */
import { checkBans } from "../../shared/bans.ts";
import { parseErrorCode, PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { type NetworkName, type PeerId, requireNetworkName } from "../../shared/ids.ts";
import { encodePass, PASS_HEADER, passClaim } from "../../shared/pass.ts";
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

const ROSTER_MS = 10_000;

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

  /** Networks made here. */
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
   * Who is in a network that is owned here, as an edge sees it.
   * @throws PeerloomError `network/not-owner`, `edge/unreachable`, what the edge says (`network/banned`, `edge/rate-limited`), `aborted`
   */
  async roster(network: string, edge: string, signal?: AbortSignal): Promise<NetworkRoster> {
    const name = requireNetworkName(network);
    const owner = await this.#keys.owner(name);
    if (owner === undefined)
      throw new PeerloomError(
        "network/not-owner",
        "Only the network's owner is told: run this where its key is.",
      );
    const { origin } = new URL(edge);
    const timeMs = Math.trunc(this.#runtime.clock.nowMs());
    const credential = await certify(owner, owner.key.id);
    const signature = await owner.key.sign(passClaim(origin, name, timeMs));
    const within = AbortSignal.any([
      AbortSignal.timeout(ROSTER_MS),
      ...(signal === undefined ? [] : [signal]),
    ]);
    try {
      const response = await fetch(`${origin}/v1/net/${name}/members`, {
        headers: { [PASS_HEADER]: encodePass({ credential, timeMs, signature }) },
        signal: within,
      });
      const answer = (await response.json()) as NetworkRoster & {
        readonly code?: unknown;
        readonly message?: unknown;
      };
      if (response.ok) return answer;
      const code = parseErrorCode(String(answer.code), "edge/unreachable");
      throw new PeerloomError(code, `The edge says: ${String(answer.message).slice(0, 500)}`);
    } catch (error) {
      signal?.throwIfAborted();
      throw toPeerloomError(error, "edge/unreachable", `The edge ${origin} gave no answer. Is it running?`);
    }
  }

  /** Invites made here, and whether they still hold as far as this host knows. */
  async invites(network: string): Promise<readonly ListedInvite[]> {
    const name = requireNetworkName(network);
    const signed = await this.#keys.bans(name);
    const banned: ReadonlySet<PeerId> =
      signed === undefined ? new Set() : (await checkBans(signed, name, verify)).keys;
    const nowMs = this.#runtime.clock.nowMs();
    return (await this.#keys.issued(name)).map((one) => ({
      ...shownInvite(one),
      state: banned.has(one.id) ? "revoked" : one.expiresMs <= nowMs ? "expired" : "good",
    }));
  }
}
