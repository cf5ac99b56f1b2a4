/** A private network as its owner and its members have it at the edge. */
import { env } from "cloudflare:workers";
import { listDurableObjectIds } from "cloudflare:test";
import { expect } from "vitest";
import { bansClaim, encodeBans, encodeSignedBans } from "../../shared/bans.ts";
import {
  ABILITIES_ALL,
  encodeChain,
  encodeGrant,
  type Grant,
  grantClaim,
  NEVER_MS,
} from "../../shared/credential.ts";
import {
  type ChannelId,
  type NetworkName,
  type PeerId,
  privateNetworkName,
  publicKeyOf,
} from "../../shared/ids.ts";
import { decodeFromRendezvous } from "../../shared/messages.ts";
import { encodePass, passClaim } from "../../shared/pass.ts";
import { Ear, makeIdentity, ORIGIN, request, type TestIdentity, TestPeer } from "./harness.ts";

/** What a test has sealed. */
export const SEALED = new Uint8Array([1, 2, 3]);

/** A network, and what its owner signs. */
export class OwnedNetwork {
  readonly owner: TestIdentity;
  readonly network: NetworkName;

  private constructor(owner: TestIdentity, kind: "invite" | "secret") {
    this.owner = owner;
    this.network = privateNetworkName(kind, publicKeyOf(owner.id));
  }

  static async make(kind: "invite" | "secret" = "invite"): Promise<OwnedNetwork> {
    return new OwnedNetwork(await makeIdentity(), kind);
  }

  /** A credential of links, each signed by the subject before it. */
  async chain(
    ...links: readonly (Partial<Grant> & { readonly who: TestIdentity; readonly by?: TestIdentity })[]
  ): Promise<Uint8Array> {
    let signer = this.owner;
    const signed = [];
    for (const { who, by, ...grant } of links) {
      const body = encodeGrant({
        role: links.at(-1)?.who === who ? "member" : "invite",
        network: this.network,
        subject: who.id,
        abilities: ABILITIES_ALL,
        expiresMs: NEVER_MS,
        uses: 0,
        delegations: 0,
        ...grant,
      });
      signed.push({ body, signature: await (by ?? signer).sign(grantClaim(body)) });
      signer = who;
    }
    return encodeChain(signed);
  }

  async pass(
    who: TestIdentity,
    credential: Uint8Array,
    forgery: { readonly origin?: string; readonly timeMs?: number; readonly signer?: TestIdentity } = {},
  ): Promise<string> {
    const { origin = ORIGIN, timeMs = Date.now(), signer = who } = forgery;
    return encodePass({
      credential,
      timeMs,
      signature: await signer.sign(passClaim(origin, this.network, timeMs)),
    });
  }

  async bans(keys: readonly PeerId[], number = 1, by: TestIdentity = this.owner): Promise<Uint8Array> {
    const body = encodeBans({ network: this.network, number, keys: new Set(keys) });
    return encodeSignedBans(body, await by.sign(bansClaim(body)));
  }

  /** A socket with that pass. */
  async knock(pass: string): Promise<Ear> {
    return new Ear(await request(`/v1/net/${this.network}/join?pass=${pass}`));
  }

  async member(grant: Partial<Grant> = {}): Promise<TestPeer> {
    const who = await makeIdentity();
    return this.join(who, await this.chain({ who, ...grant }));
  }

  async join(who: TestIdentity, credential: Uint8Array): Promise<TestPeer> {
    const peer = await this.challenged(who, credential);
    await peer.join();
    await peer.expect("joined");
    return peer;
  }

  async challenged(who: TestIdentity, credential: Uint8Array): Promise<TestPeer> {
    return TestPeer.meet(await this.knock(await this.pass(who, credential)), this.network, who);
  }

  async isAwake(): Promise<boolean> {
    const id = env.RENDEZVOUS.idFromName(`${this.network}/0`);
    return (await listDurableObjectIds(env.RENDEZVOUS)).some((one) => one.equals(id));
  }
}

/** The code of the one message that a refused socket hears; its close must say the same. */
export async function refusalOf(ear: Ear): Promise<string> {
  const message = decodeFromRendezvous(new Uint8Array((await ear.next()) as ArrayBuffer));
  if (message.kind !== "error") return message.kind;
  expect(await ear.closed()).toMatchObject({ code: 1008, reason: message.code });
  return message.code;
}

export async function answerOf(response: Response): Promise<readonly [number, unknown]> {
  return [response.status, ((await response.json()) as { readonly code?: unknown }).code];
}

/** A channel of two members, open on both sides. */
export async function relayed(asker: TestPeer, asked: TestPeer): Promise<readonly [Ear, Ear, ChannelId]> {
  const { channel, tickets } = await granted(asker, asked);
  const [a, b] = [await openSide(channel, tickets[0]), await openSide(channel, tickets[1])];
  expect([await a.next(), await b.next()]).toEqual(["ready", "ready"]);
  return [a, b, channel];
}

/** A channel that nobody has opened, and its tickets. */
export async function granted(
  asker: TestPeer,
  asked: TestPeer,
): Promise<{ readonly channel: ChannelId; readonly tickets: readonly [string, string] }> {
  asker.send({ kind: "relay", request: 1, to: asked.id, sealed: SEALED });
  const { channel, ticket } = await asker.expect("relay-ready");
  const offer = await asked.expect("relay-offer");
  return { channel, tickets: [ticket, offer.ticket] };
}

export async function openSide(channel: ChannelId, ticket: string): Promise<Ear> {
  return new Ear(await request(`/v1/relay/${channel}?ticket=${ticket}`));
}
