/** A network that is spread over several objects is one network: whoever is on whichever, it is found, relayed within its quota, counted and put out. */
import { env, exports } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { forgetBans } from "../../edge/ban-cache.ts";
import { type EdgeMember, encodeMember, MEMBER_HEADER } from "../../edge/passes.ts";
import { BACK_HEADER } from "../../edge/return-pass.ts";
import { rendezvousName, searchIndexName, searchShard, SHARD_HEADER } from "../../edge/shards.ts";
import { checkCredential, type Grant } from "../../shared/credential.ts";
import { verifySignature } from "../../edge/verify.ts";
import {
  type AnnouncedListing,
  announcementClaim,
  encodeAnnouncement,
  encodeSignedAnnouncement,
  type IndexAnswer,
  type IndexHit,
} from "../../shared/listings.ts";
import type { NetworkName } from "../../shared/ids.ts";
import { Ear, freshNetwork, makeIdentity, ORIGIN, type TestIdentity, TestPeer } from "./harness.ts";
import { OwnedNetwork, refusalOf, relayed, SEALED } from "./owned-network.ts";
import { listing } from "./listing.ts";

/** As in the configuration of these tests. */
const SHARDS = [0, 1, 2] as const;
type Shard = (typeof SHARDS)[number];

/** A challenged socket at that shard: the Worker chooses one at random. */
async function knock(
  net: OwnedNetwork,
  shard: Shard,
  who: TestIdentity,
  credential: Uint8Array,
): Promise<TestPeer> {
  const pass: EdgeMember = await checkCredential(credential, net.network, verifySignature);
  const headers = {
    upgrade: "websocket",
    [SHARD_HEADER]: String(shard),
    [MEMBER_HEADER]: encodeMember(pass),
    [BACK_HEADER]: "",
  };
  const object = env.RENDEZVOUS.getByName(rendezvousName(net.network, shard));
  const answer = await object.fetch(`${ORIGIN}/v1/net/${net.network}/join`, { headers });
  return TestPeer.meet(new Ear(answer), net.network, who);
}

async function memberAt(net: OwnedNetwork, shard: Shard, grant: Partial<Grant> = {}): Promise<TestPeer> {
  const who = await makeIdentity();
  const peer = await knock(net, shard, who, await net.chain({ who, ...grant }));
  await peer.join();
  await peer.expect("joined");
  return peer;
}

describe("a relay quota", () => {
  const QUOTA = 2 ** 20;
  const FRAME = new Uint8Array(2 ** 17).fill(7);
  const refused = { request: 9, code: "network/relay-quota" };

  test.each([
    [0, 1],
    [1, 0],
    [1, 2],
    [1, 1],
  ] as const)(
    "of a member on shard %i ends what it is relayed with one on shard %i, and holds on all",
    async (at, other) => {
      const net = await OwnedNetwork.make();
      const [poor, full] = [await memberAt(net, at, { relayBytesPerDay: QUOTA }), await memberAt(net, other)];
      const [a, b] = await relayed(full, poor);
      a.socket.send(FRAME);
      expect(((await b.next()) as ArrayBuffer).byteLength).toBe(FRAME.length);
      a.socket.close(1000);
      await b.closed();
      const account = env.RENDEZVOUS.getByName(rendezvousName(net.network, 0));
      await expect.poll(() => Promise.resolve(account.relayLeft(poor.id, QUOTA))).toBe(QUOTA - FRAME.length);
      const [from, to] = await relayed(poor, full);
      for (let sent = 0; sent < 3 * QUOTA; sent += FRAME.length) from.socket.send(FRAME);
      expect(await from.closed()).toEqual({ code: 4005, reason: "network/relay-quota" });
      expect(await to.closed()).toEqual({ code: 4002, reason: "link/closed" });
      for (const shard of SHARDS) {
        const asker = await memberAt(net, shard);
        await expect
          .poll(async () => {
            asker.send({ kind: "relay", request: 9, to: poor.id, sealed: SEALED });
            return asker.expect("error");
          })
          .toMatchObject(refused);
      }
      poor.send({ kind: "relay", request: 9, to: full.id, sealed: SEALED });
      expect(await poor.expect("error")).toMatchObject(refused);
    },
  );
});

test("who is on no shard, or is no member any more, is relayed with nobody", async () => {
  const net = await OwnedNetwork.make();
  const [asker, gone] = [await memberAt(net, 1), await memberAt(net, 2)];
  gone.ear.socket.close(1000);
  await gone.ear.closed();
  for (const to of [gone.id, (await makeIdentity()).id]) {
    asker.send({ kind: "relay", request: 4, to, sealed: SEALED });
    expect(await asker.expect("error")).toMatchObject({ request: 4, code: "peer/not-found" });
  }
});

test("a revoked invite ends what is relayed across shards, and puts its members out of all", async () => {
  const [net, invite] = [await OwnedNetwork.make(), await makeIdentity()];
  const guestAt = async (shard: Shard): Promise<TestPeer> => {
    const who = await makeIdentity();
    const peer = await knock(net, shard, who, await net.chain({ who: invite }, { who }));
    await peer.join();
    await peer.expect("joined");
    return peer;
  };
  const [teller, guest, other] = [await memberAt(net, 2), await guestAt(0), await guestAt(1)];
  const [a, b] = await relayed(guest, other);
  teller.send({ kind: "bans", list: await net.bans([invite.id]) });
  await teller.expect("bans");
  for (const { ear } of [guest, other]) expect(await refusalOf(ear)).toBe("network/banned");
  forgetBans(net.network);
  b.socket.send("ack:0");
  expect(await a.closed()).toEqual({ code: 1008, reason: "network/banned" });
  expect(await b.closed()).toEqual({ code: 4002, reason: "link/closed" });
});

test("an invite for one brings one, whichever shard its guests come to", async () => {
  const [net, invite] = [await OwnedNetwork.make(), await makeIdentity()];
  const peers = await Promise.all(
    SHARDS.map(async (shard) => {
      const who = await makeIdentity();
      return knock(net, shard, who, await net.chain({ who: invite, uses: 1 }, { who }));
    }),
  );
  await Promise.all(peers.map((peer) => peer.join()));
  const answers = await Promise.all(peers.map(({ ear }) => refusalOf(ear)));
  expect(answers.toSorted()).toEqual(["joined", "network/invite-used", "network/invite-used"]);
});

describe("the search index", () => {
  async function announce(
    network: NetworkName,
    who: TestIdentity,
    listings: readonly AnnouncedListing[],
  ): Promise<number> {
    const body = encodeAnnouncement({ id: who.id, timeMs: Date.now(), listings });
    const signed = encodeSignedAnnouncement(body, await who.sign(announcementClaim(ORIGIN, network, body)));
    const init = { method: "POST", body: signed as Uint8Array<ArrayBuffer> };
    return (await exports.default.fetch(`${ORIGIN}/v1/net/${network}/listings`, init)).status;
  }

  async function search(network: NetworkName, query: string): Promise<readonly IndexHit[]> {
    const response = await exports.default.fetch(`${ORIGIN}/v1/net/${network}/search?q=${query}`);
    expect(response.status).toBe(200);
    return ((await response.json()) as IndexAnswer).hits;
  }

  /** What the object of one shard knows by itself. */
  async function knownTo(network: NetworkName, shard: Shard, word: string): Promise<string[]> {
    const object = env.SEARCH.getByName(searchIndexName(network, shard));
    return (await object.search({ network, shard }, [word], 100)).map(({ name }) => name).toSorted();
  }

  /** One whose listings are on that shard. */
  async function sharerAt(shard: Shard): Promise<TestIdentity> {
    for (;;) {
      const who = await makeIdentity();
      if (searchShard(env, who.id) === shard) return who;
    }
  }

  test("finds what the members of every shard have, each kept on its own", async () => {
    const network = freshNetwork();
    for (const shard of SHARDS)
      expect(await announce(network, await sharerAt(shard), [listing(`cat ${shard}`)])).toBe(200);
    for (const shard of SHARDS) expect(await knownTo(network, shard, "cat")).toEqual([`cat ${shard}`]);
    const hits = await search(network, "cat");
    expect(hits.map(({ name }) => name).toSorted()).toEqual(["cat 0", "cat 1", "cat 2"]);
  });

  test("tells the same content on several shards as one, with all who have it, and what most have first", async () => {
    const network = freshNetwork();
    const [rare, common] = [listing("rare cat"), listing("common cat")];
    const sharers = await Promise.all(SHARDS.map((shard) => sharerAt(shard)));
    await announce(network, sharers[0] as TestIdentity, [rare, { ...common, ticket: "peerloom:get/of-0" }]);
    await announce(network, sharers[1] as TestIdentity, [{ ...common, ticket: "peerloom:get/of-1" }]);
    await announce(network, sharers[2] as TestIdentity, [{ ...common, ticket: "peerloom:get/of-2" }]);
    const [first, second, ...more] = await search(network, "cat");
    expect(first).toMatchObject({ name: "common cat", sources: 3 });
    expect(new Set([first?.ticket, ...(first?.moreTickets ?? [])])).toEqual(
      new Set(["peerloom:get/of-0", "peerloom:get/of-1", "peerloom:get/of-2"]),
    );
    expect([second?.name, more]).toEqual(["rare cat", []]);
  });

  test("takes back and changes what was said where it was said", async () => {
    const network = freshNetwork();
    const sharers = await Promise.all(SHARDS.map((shard) => sharerAt(shard)));
    for (const who of sharers) await announce(network, who, [listing("old cat")]);
    await announce(network, sharers[1] as TestIdentity, [listing("new cat")]);
    await announce(network, sharers[2] as TestIdentity, []);
    const hits = await search(network, "cat");
    expect(hits.map(({ name }) => name).toSorted()).toEqual(["new cat", "old cat"]);
    expect(await Promise.all(SHARDS.map((shard) => knownTo(network, shard, "cat")))).toEqual([
      ["old cat"],
      ["new cat"],
      [],
    ]);
  });
});
