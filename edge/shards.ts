/**
 * A network larger than one object is spread over shards by chance. What a shard does not know it asks of the others; with one
 * shard, the default, nothing here ever runs.
 */
import { type NetworkName, type PeerId, publicKeyOf } from "../shared/ids.ts";
import type { Contact } from "../shared/messages.ts";
import type { Env } from "./env.ts";
import { Lanes } from "./lanes.ts";
import { shardCount } from "./policy.ts";
import type { Rendezvous } from "./rendezvous.ts";
import type { RelayMembership } from "./tickets.ts";

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

/** What one rendezvous asks of another. */
export type ShardAsk =
  /** Passes a message to a member. Answered by true when it is there. */
  | { readonly kind: "deliver"; readonly to: PeerId; readonly message: Uint8Array }
  /** Answered by a contact when it is there. */
  | { readonly kind: "locate"; readonly id: PeerId }
  /** The peer has joined here: whoever is there under its id goes. */
  | { readonly kind: "retire"; readonly id: PeerId };
export type ShardAnswer = Contact | boolean | undefined;

interface Asked {
  readonly network: NetworkName;
  readonly ask: ShardAsk;
  answer(answer: ShardAnswer): void;
}

export interface OtherShardsEnds {
  /** One call to another object begins. */
  calls(network: NetworkName): void;
  /** Keeps this object until the work is done. */
  keep(work: Promise<void>): void;
}

/**
 * The other rendezvous objects of the same network. Each join asks all of them, so what comes together goes in one call: the busier the
 * shards, the fewer calls a join takes.
 */
export class OtherShards {
  readonly #env: Env;
  readonly #lanes: Lanes<Asked>;

  constructor(env: Env, { calls, keep }: OtherShardsEnds) {
    this.#env = env;
    this.#lanes = new Lanes<Asked>({
      deliver: async (shard, asked) => {
        const network = asked[0]?.network as NetworkName; // an object serves one
        calls(network);
        const answers = await this.#stub(network, shard).answer(asked.map(({ ask }) => ask));
        for (const [index, { answer }] of asked.entries()) answer(answers[index]);
      },
      lost: (asked) => {
        for (const { answer } of asked) answer(undefined);
      },
      lengthOf: ({ ask }) => (ask.kind === "deliver" ? ask.message.length : ask.id.length),
      keep,
    });
  }

  get any(): boolean {
    return this.count > 0;
  }

  get count(): number {
    return shardCount(this.#env.RENDEZVOUS_SHARDS) - 1;
  }

  /** True when the member was on one of them and has been sent the message. */
  async deliver(network: NetworkName, shard: number, to: PeerId, message: Uint8Array): Promise<boolean> {
    return (await this.#ask(network, shard, { kind: "deliver", to, message })).includes(true);
  }

  async locate(network: NetworkName, shard: number, id: PeerId): Promise<Contact | undefined> {
    const answers = await this.#ask(network, shard, { kind: "locate", id });
    return answers.find((answer) => typeof answer === "object");
  }

  async retire(network: NetworkName, shard: number, id: PeerId): Promise<void> {
    await this.#ask(network, shard, { kind: "retire", id });
  }

  /** As `Rendezvous.relayMembership`. */
  async relayMembership(
    network: NetworkName,
    shard: number,
    id: PeerId,
  ): Promise<RelayMembership | undefined> {
    const answers = await Promise.all(this.#stubs(network, shard).map((stub) => stub.relayMembership(id)));
    return answers.find((membership) => membership !== undefined);
  }

  async adoptBans(network: NetworkName, shard: number, list: Uint8Array): Promise<void> {
    await Promise.all(this.#stubs(network, shard).map((stub) => stub.adoptBans(network, list)));
  }

  /** Undefined from a shard that was too busy. */
  #ask(network: NetworkName, shard: number, ask: ShardAsk): Promise<ShardAnswer[]> {
    const answers = this.#indices(shard).map(
      (index) => new Promise<ShardAnswer>((answer) => this.#lanes.send(index, { network, ask, answer })),
    );
    return Promise.all(answers);
  }

  #stubs(network: NetworkName, shard: number): DurableObjectStub<Rendezvous>[] {
    return this.#indices(shard).map((index) => this.#stub(network, index));
  }

  #stub(network: NetworkName, shard: number): DurableObjectStub<Rendezvous> {
    return this.#env.RENDEZVOUS.getByName(rendezvousName(network, shard));
  }

  /** Of all others. */
  #indices(shard: number): number[] {
    const all = Array.from({ length: shardCount(this.#env.RENDEZVOUS_SHARDS) }, (_, index) => index);
    return all.filter((index) => index !== shard);
  }
}
