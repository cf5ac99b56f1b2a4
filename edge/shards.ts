/**
 * A network larger than one object is spread over shards by chance. What a shard does not know it asks of the others; with one
 * shard, the default, nothing here ever runs.
 */
import { type NetworkName, type PeerId, publicKeyOf } from "../shared/ids.ts";
import type { Contact } from "../shared/messages.ts";
import type { Env } from "./env.ts";
import { shardCount } from "./policy.ts";
import type { Rendezvous } from "./rendezvous.ts";

/** How the Worker tells a rendezvous which shard it is. */
export const SHARD_HEADER = "x-peerloom-shard";

/** The name of one rendezvous object. */
export function rendezvousName(network: NetworkName, shard: number): string {
  return `${network}/${shard}`;
}

/** The name of one search index object. */
export function searchIndexName(network: NetworkName, shard: number): string {
  return `${network}/${shard}`;
}

/** Where a member's listings are; a question asks all shards. */
export function searchShard(env: Env, member: PeerId): number {
  const [high = 0, low = 0] = publicKeyOf(member);
  return pickShard(shardCount(env.RENDEZVOUS_SHARDS), (high * 256 + low) / 65_536);
}

/** @param unit in [0, 1): random, or a hash where the same thing shall always come to the same shard */
export function pickShard(shards: number, unit: number): number {
  return Math.floor(unit * shards);
}

/** The other rendezvous objects of the same network. */
export class OtherShards {
  readonly #env: Env;

  constructor(env: Env) {
    this.#env = env;
  }

  get any(): boolean {
    return this.count > 0;
  }

  get count(): number {
    return shardCount(this.#env.RENDEZVOUS_SHARDS) - 1;
  }

  /** True when the member was on one of them and has been sent the message. */
  async deliver(network: NetworkName, shard: number, to: PeerId, message: Uint8Array): Promise<boolean> {
    const answers = await Promise.all(this.#stubs(network, shard).map((stub) => stub.deliver(to, message)));
    return answers.includes(true);
  }

  async locate(network: NetworkName, shard: number, id: PeerId): Promise<Contact | undefined> {
    const answers = await Promise.all(this.#stubs(network, shard).map((stub) => stub.locate(id)));
    return answers.find((contact) => contact !== undefined);
  }

  /** As `Rendezvous.relayQuota`. */
  async relayQuota(network: NetworkName, shard: number, id: PeerId): Promise<number | undefined> {
    const answers = await Promise.all(this.#stubs(network, shard).map((stub) => stub.relayQuota(id)));
    return answers.find((quota) => quota !== undefined);
  }

  async retire(network: NetworkName, shard: number, id: PeerId): Promise<void> {
    await Promise.all(this.#stubs(network, shard).map((stub) => stub.retire(id)));
  }

  async adoptBans(network: NetworkName, shard: number, list: Uint8Array): Promise<void> {
    await Promise.all(this.#stubs(network, shard).map((stub) => stub.adoptBans(network, list)));
  }

  #stubs(network: NetworkName, shard: number): DurableObjectStub<Rendezvous>[] {
    const others = Array.from(
      { length: shardCount(this.#env.RENDEZVOUS_SHARDS) },
      (_, index) => index,
    ).filter((index) => index !== shard);
    return others.map((index) => this.#env.RENDEZVOUS.getByName(rendezvousName(network, index)));
  }
}
