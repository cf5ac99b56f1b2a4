/**
 * A private network in the hands of its owner for as long as a page stands: the key is in memory alone. Who is there, invites and bans go the ways of the
 * command line; a ban by a passing peer, since the edge takes a list from members.
 */
import {
  type BanReceipt,
  type InviteOptions,
  type KeyValueStorage,
  type ListedInvite,
  type MadeInvite,
  memoryStorage,
  type Networks,
  type NetworkRoster,
  networks,
  Peer,
} from "../../browser.ts";

/** Joining, and the edge's word that it has the list. */
const CHANGE_MS = 20_000;

export class OwnedNetwork {
  readonly name: string;
  readonly #storage: KeyValueStorage;
  readonly #networks: Networks;
  readonly #edge: string;
  /** One after the other: each list is made of the one before. */
  #changing: Promise<unknown> = Promise.resolve();

  /** @throws PeerloomError `usage/invalid` when the text is no owner's key */
  static async open(key: string, edge: string): Promise<OwnedNetwork> {
    const storage = memoryStorage();
    const held = networks({ storage });
    return new OwnedNetwork(await held.own(key), edge, storage, held);
  }

  private constructor(name: string, edge: string, storage: KeyValueStorage, held: Networks) {
    this.name = name;
    this.#edge = edge;
    this.#storage = storage;
    this.#networks = held;
  }

  /** @throws PeerloomError as `Networks.roster` */
  roster(signal?: AbortSignal): Promise<NetworkRoster> {
    return this.#networks.roster(this.name, this.#edge, signal);
  }

  /** Those that were made here. */
  invites(): Promise<readonly ListedInvite[]> {
    return this.#networks.invites(this.name);
  }

  /** @throws PeerloomError `usage/invalid` */
  invite(options: InviteOptions): Promise<MadeInvite> {
    return this.#networks.invite(this.name, { ...options, edge: this.#edge });
  }

  /**
   * Bans a peer or an invite, or takes that back.
   * @throws PeerloomError `id/invalid`, `network/too-many-bans`, `edge/unreachable`, what the edge says
   */
  change(act: "ban" | "unban", id: string): Promise<BanReceipt> {
    const mine = this.#changing.then(() => this.#change(act, id));
    this.#changing = mine.catch(() => undefined); // told to whom it concerns
    return mine;
  }

  async #change(act: "ban" | "unban", id: string): Promise<BanReceipt> {
    const signal = AbortSignal.timeout(CHANGE_MS);
    // The next list is made of the latest, which the edge has and this page may not.
    await this.roster(signal);
    const peer = await Peer.open({
      network: this.name,
      edge: this.#edge,
      networksStorage: this.#storage,
      identity: "fresh",
      overlay: false,
      webrtc: false,
      signal,
    });
    try {
      return await peer.membership[act](id, signal);
    } finally {
      await peer.close();
    }
  }
}
