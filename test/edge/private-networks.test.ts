/** Private networks at the edge: who is no member gets nothing, whatever it tries, and wakes no object; who is one stops being it. */
import { env, exports } from "cloudflare:workers";
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { forgetBans } from "../../edge/ban-cache.ts";
import { ticketKey } from "../../edge/edge-keys.ts";
import { ice } from "../../edge/ice-routes.ts";
import { NetworkBook } from "../../edge/network-book.ts";
import { MEMBER_HEADER } from "../../edge/passes.ts";
import { BAN_LISTS_BURST } from "../../edge/rendezvous.ts";
import { mintReturnPass } from "../../edge/return-pass.ts";
import { mintTicket } from "../../edge/tickets.ts";
import { toBase64Url, utf8 } from "../../shared/bytes.ts";
import { ABILITY, type Grant, NEVER_MS } from "../../shared/credential.ts";
import { channelIdFrom, type NetworkName, type PeerId } from "../../shared/ids.ts";
import { announcementClaim, encodeAnnouncement, encodeSignedAnnouncement } from "../../shared/listings.ts";
import { PASS_HEADER } from "../../shared/pass.ts";
import {
  Ear,
  makeIdentity,
  ORIGIN,
  request,
  sleepRelay,
  sleepRendezvous,
  type TestIdentity,
  TestPeer,
} from "./harness.ts";
import { answerOf, OwnedNetwork, refusalOf, relayed, SEALED } from "./owned-network.ts";

/** All that somebody could show who was given nothing: nothing, rubbish, what others were given, what it made itself. */
async function stranger(
  net: OwnedNetwork,
): Promise<{ readonly who: TestIdentity; readonly passes: Readonly<Record<string, string>> }> {
  const [who, member, elsewhere] = [await makeIdentity(), await makeIdentity(), await OwnedNetwork.make()];
  const theirs = await net.chain({ who: member });
  const invite = await makeIdentity();
  const good = await net.pass(member, theirs);
  return {
    who,
    passes: {
      nothing: "",
      rubbish: "AAAA",
      "too long": "A".repeat(20_000),
      "its own word": await net.pass(who, await net.chain({ who, by: who })),
      "another network's membership": await elsewhere.pass(who, await elsewhere.chain({ who })),
      "another network's word for this one": await net.pass(
        who,
        await net.chain({ who, by: elsewhere.owner }),
      ),
      "a member's credential": await net.pass(who, theirs),
      "a member's pass of another edge": await net.pass(member, theirs, { origin: "https://evil.example" }),
      "a member's pass of an hour ago": await net.pass(member, theirs, { timeMs: Date.now() - 3_600_000 }),
      "a member's pass, changed": `${good.slice(0, 60)}${good[60] === "A" ? "B" : "A"}${good.slice(61)}`,
      "an invite that stands alone": await net.pass(invite, await net.chain({ who: invite, role: "invite" })),
      "a membership that ended": await net.pass(who, await net.chain({ who, expiresMs: Date.now() - 1 })),
      "more than its invite has": await net.pass(
        who,
        await net.chain({ who: invite, abilities: 0 }, { who }),
      ),
    },
  };
}

describe.each(["invite", "secret"] as const)("in a network by %s", (kind) => {
  test("no stranger joins, searches or announces, and none wakes an object", async () => {
    const net = await OwnedNetwork.make(kind);
    const { who, passes } = await stranger(net);
    const body = encodeAnnouncement({ id: who.id, timeMs: Date.now(), listings: [] });
    const announcement = encodeSignedAnnouncement(
      body,
      await who.sign(announcementClaim(ORIGIN, net.network, body)),
    );
    const let_in: string[] = [];
    for (const [name, pass] of Object.entries(passes)) {
      const expected = /^(network\/(not-member|expired)|edge\/challenge-failed)$/;
      const code = await refusalOf(await net.knock(pass));
      if (!expected.test(code)) let_in.push(`${name}: joined, ${code}`);
      const headers = { [PASS_HEADER]: pass };
      const path = `${ORIGIN}/v1/net/${net.network}`;
      const found = await exports.default.fetch(`${path}/search?q=cat`, { headers });
      const told = await exports.default.fetch(`${path}/listings`, {
        method: "POST",
        headers,
        body: announcement as Uint8Array<ArrayBuffer>,
      });
      for (const response of [found, told]) {
        const [status, reason] = await answerOf(response);
        if (status < 400 || !expected.test(String(reason)))
          let_in.push(`${name}: ${status} ${String(reason)}`);
      }
    }
    expect(let_in).toEqual([]);
    expect(await net.isAwake()).toBe(false);
    await net.member();
    expect(await net.isAwake()).toBe(true);
  });

  test("no stranger opens a relay, signals or asks for a member: these need a socket that has joined", async () => {
    const net = await OwnedNetwork.make(kind);
    const member = await net.member();
    const who = await makeIdentity();
    // The most that is to be had: a member's pass, overheard while it is fresh. The key that signs the challenge is still another.
    const theirs = await net.chain({ who: member.identity });
    const pass = await net.pass(member.identity, theirs);
    for (const ask of [
      { kind: "signal", request: 1, to: member.id, sealed: SEALED },
      { kind: "relay", request: 1, to: member.id, sealed: SEALED },
      { kind: "find", request: 1, id: member.id },
      { kind: "bans", list: await net.bans([member.id]) },
    ] as const) {
      const peer = await TestPeer.meet(await net.knock(pass), net.network, who);
      peer.send(ask);
      expect(await refusalOf(peer.ear)).toBe("edge/not-member");
    }
    const joining = await TestPeer.meet(await net.knock(pass), net.network, who);
    await joining.join();
    expect(await refusalOf(joining.ear)).toBe("network/not-member");
    const channel = channelIdFrom(crypto.getRandomValues(new Uint8Array(16)));
    const forged = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    const ticket = {
      channel,
      side: 0,
      peer: who.id,
      network: net.network,
      expiresMs: Date.now() + 60_000,
    } as const;
    for (const text of ["", await mintTicket(ticket, forged as CryptoKey)])
      expect((await answerOf(await request(`/v1/relay/${channel}?ticket=${text}`)))[0]).toBe(403);
  });

  test("what the Worker tells the rendezvous cannot be said by anybody else", async () => {
    const net = await OwnedNetwork.make(kind);
    const { id } = await makeIdentity();
    const claimed = { member: id, abilities: 15, expiresMs: NEVER_MS, keys: [id], counted: [] };
    const header = toBase64Url(utf8(JSON.stringify(claimed)));
    const ear = new Ear(await request(`/v1/net/${net.network}/join`, { [MEMBER_HEADER]: header }));
    expect(await refusalOf(ear)).toBe("network/not-member");
  });
});

test("members meet, signal and relay; who may not relay is told, and goes on", async () => {
  const net = await OwnedNetwork.make();
  const [full, poor] = [await net.member(), await net.member({ abilities: ABILITY.index })];
  full.send({ kind: "relay", request: 1, to: poor.id, sealed: SEALED });
  await full.expect("relay-ready");
  await poor.expect("relay-offer");
  poor.send({ kind: "relay", request: 7, to: full.id, sealed: SEALED });
  expect(await poor.expect("error")).toMatchObject({ request: 7, code: "network/not-allowed" });
  poor.send({ kind: "signal", request: 8, to: full.id, sealed: SEALED });
  expect(await full.expect("signal")).toMatchObject({ from: poor.id });
});

describe("TURN", () => {
  const TURN = "turn:turn.example:3478";

  /** What may pass no other door: the pass of an earlier join, together with what proves the membership now. */
  async function isGivenTurn(network: NetworkName, who: PeerId, pass: string): Promise<boolean> {
    const back = await mintReturnPass(who, network, Date.now() + 60_000, await ticketKey(env));
    const query = new URLSearchParams({ network, back, pass }).toString();
    const response = await ice.request(
      `${ORIGIN}/v1/ice?${query}`,
      {},
      { ...env, TURN_URLS: TURN, TURN_SECRET: "north" },
    );
    return (await response.text()).includes(TURN);
  }

  test("goes to members that may relay, and to nobody else", async () => {
    const net = await OwnedNetwork.make();
    const { who: outsider, passes } = await stranger(net);
    for (const pass of Object.values(passes))
      expect(await isGivenTurn(net.network, outsider.id, pass)).toBe(false);
    const [member, other] = [await makeIdentity(), await makeIdentity()];
    const granted = async (grant: Partial<Grant>): Promise<boolean> =>
      isGivenTurn(net.network, member.id, await net.pass(member, await net.chain({ who: member, ...grant })));
    expect(await granted({})).toBe(true);
    expect(await granted({ abilities: ABILITY.publish })).toBe(false);
    // No TURN server counts for the edge.
    expect(await granted({ relayBytesPerDay: 2 ** 20 })).toBe(false);
    const pass = await net.pass(member, await net.chain({ who: member }));
    expect(await isGivenTurn(net.network, other.id, pass)).toBe(false);
  });

  test("ends with a ban", async () => {
    const net = await OwnedNetwork.make();
    const [member, stays] = [await net.member(), await net.member()];
    const pass = await net.pass(member.identity, await net.chain({ who: member.identity }));
    expect(await isGivenTurn(net.network, member.id, pass)).toBe(true);
    stays.send({ kind: "bans", list: await net.bans([member.id]) });
    await stays.expect("bans");
    forgetBans(net.network);
    expect(await isGivenTurn(net.network, member.id, pass)).toBe(false);
  });
});

describe("a relay quota", () => {
  const QUOTA = 2 ** 20;
  const FRAME = new Uint8Array(2 ** 17).fill(7);

  test.each(["sends", "receives"] as const)(
    "ends what is relayed for who %s, and no further channel is made for it that day",
    async (does) => {
      const net = await OwnedNetwork.make();
      const [full, poor] = [await net.member(), await net.member({ relayBytesPerDay: QUOTA })];
      const [a, b, channel] = await relayed(full, poor);
      const [from, to] = does === "sends" ? [b, a] : [a, b];
      for (let sent = 0; sent < QUOTA; sent += FRAME.length) {
        if (sent === QUOTA / 2) await sleepRelay(channel);
        from.socket.send(FRAME);
        expect(((await to.next()) as ArrayBuffer).byteLength).toBe(FRAME.length);
      }
      // What is one channel's grace beyond the quota is used up by then.
      for (let sent = 0; sent < 2 * QUOTA; sent += FRAME.length) from.socket.send(FRAME);
      expect(await b.closed()).toEqual({ code: 4005, reason: "network/relay-quota" });
      expect(await a.closed()).toEqual({ code: 4002, reason: "link/closed" });
      const refused = { request: 9, code: "network/relay-quota" };
      await expect
        .poll(async () => {
          poor.send({ kind: "relay", request: 9, to: full.id, sealed: SEALED });
          return poor.expect("error");
        })
        .toMatchObject(refused);
      full.send({ kind: "relay", request: 9, to: poor.id, sealed: SEALED });
      expect(await full.expect("error")).toMatchObject(refused);
      await sleepRendezvous(net.network);
      poor.send({ kind: "relay", request: 9, to: full.id, sealed: SEALED });
      expect(await poor.expect("error")).toMatchObject(refused);
    },
  );

  test("is given back what a channel did not use, and is of one member and one day", async () => {
    const net = await OwnedNetwork.make();
    const [full, poor, other] = [
      await net.member(),
      await net.member({ relayBytesPerDay: QUOTA }),
      await net.member({ relayBytesPerDay: QUOTA }),
    ];
    for (let channels = 0; channels < 3; channels++) {
      const [a, b] = await relayed(full, poor);
      a.socket.send(FRAME);
      expect(((await b.next()) as ArrayBuffer).byteLength).toBe(FRAME.length);
      a.socket.close(1000);
      await b.closed();
      const stub = env.RENDEZVOUS.getByName(`${net.network}/0`);
      const left = (): Promise<number> => Promise.resolve(stub.relayLeft(poor.id, QUOTA));
      await expect.poll(left).toBe(QUOTA - (channels + 1) * FRAME.length);
    }
    await relayed(full, other);
    await runInDurableObject(env.RENDEZVOUS.getByName(`${net.network}/0`), (object, ctx) => {
      const book = new NetworkBook(ctx.storage);
      const nowMs = Date.now();
      expect(book.relayLeft(poor.id, QUOTA, nowMs + 86_400_000)).toBe(QUOTA);
      const loan = { quotaBytes: QUOTA, back: 0, wants: 2 * QUOTA };
      expect(book.lendRelay(poor.id, loan, nowMs)).toBe(QUOTA - 3 * FRAME.length);
      expect([book.lendRelay(poor.id, loan, nowMs), object.relayLeft(poor.id, QUOTA)]).toEqual([0, 0]);
    });
  });
});

test("who may not announce is told, and nobody announces for another", async () => {
  const net = await OwnedNetwork.make();
  const [may, mayNot] = [await makeIdentity(), await makeIdentity()];
  const passes = [
    await net.pass(may, await net.chain({ who: may })),
    await net.pass(mayNot, await net.chain({ who: mayNot, abilities: ABILITY.relay })),
  ] as const;
  const announce = async (who: TestIdentity, pass: string): Promise<unknown> => {
    const body = encodeAnnouncement({ id: who.id, timeMs: Date.now(), listings: [] });
    const signed = encodeSignedAnnouncement(
      body,
      await who.sign(announcementClaim(ORIGIN, net.network, body)),
    );
    const init = {
      method: "POST",
      headers: { [PASS_HEADER]: pass },
      body: signed as Uint8Array<ArrayBuffer>,
    };
    return answerOf(await exports.default.fetch(`${ORIGIN}/v1/net/${net.network}/listings`, init));
  };
  expect(await announce(may, passes[0])).toEqual([200, undefined]);
  expect(await announce(mayNot, passes[1])).toEqual([403, "network/not-allowed"]);
  expect(await announce(mayNot, passes[0])).toEqual([403, "network/not-allowed"]);
});

test("an invite is counted once for each member, its own invites' included, across sleeps", async () => {
  const net = await OwnedNetwork.make();
  const [invite, further] = [await makeIdentity(), await makeIdentity()];
  const by = (who: TestIdentity, ...through: readonly TestIdentity[]): Promise<Uint8Array> =>
    net.chain(...through.map((each, i) => ({ who: each, uses: 2, delegations: through.length - 1 - i })), {
      who,
    });
  const [first, second, third] = [await makeIdentity(), await makeIdentity(), await makeIdentity()];
  await net.join(first, await by(first, invite));
  await sleepRendezvous(net.network);
  const late = await net.join(
    second,
    await net.chain({ who: invite, uses: 2, delegations: 1 }, { who: further, uses: 1 }, { who: second }),
  );
  await net.join(first, await by(first, invite));
  const refused = await net.challenged(third, await by(third, invite));
  await refused.join();
  expect(await refusalOf(refused.ear)).toBe("network/invite-used");
  late.send({ kind: "find", request: 1, id: first.id });
  expect((await late.expect("found")).contact?.id).toBe(first.id);
});

test("the owner alone is told who is there", async () => {
  const net = await OwnedNetwork.make();
  const [member, banned] = [await net.member(), await makeIdentity()];
  const list = await net.bans([banned.id], 3);
  member.send({ kind: "bans", list });
  await member.expect("bans");
  const ask = async (who: TestIdentity): Promise<Response> =>
    exports.default.fetch(`${ORIGIN}/v1/net/${net.network}/members`, {
      headers: { [PASS_HEADER]: await net.pass(who, await net.chain({ who })) },
    });
  expect(await (await ask(net.owner)).json()).toEqual({
    members: [{ id: member.id, beacon: true, expiresMs: NEVER_MS, invites: [] }],
    more: 0,
    bans: 3,
    banned: [banned.id],
    signedBans: toBase64Url(list),
  });
  expect(await answerOf(await ask(member.identity))).toEqual([403, "network/not-owner"]);
  const bare = await exports.default.fetch(`${ORIGIN}/v1/net/${net.network}/members`);
  expect(await answerOf(bare)).toEqual([403, "network/not-member"]);
});

describe("bans", () => {
  test("cut a member's socket, refuse it at the door, and hold after a sleep; all others hear of it", async () => {
    const net = await OwnedNetwork.make();
    const [teller, banned] = [await net.member(), await net.member()];
    const list = await net.bans([banned.id]);
    teller.send({ kind: "bans", list });
    expect((await teller.expect("bans")).list).toEqual(list);
    expect(await refusalOf(banned.ear)).toBe("network/banned");
    await sleepRendezvous(net.network);
    forgetBans(net.network);
    const pass = await net.pass(banned.identity, await net.chain({ who: banned.identity }));
    expect(await refusalOf(await net.knock(pass))).toBe("network/banned");
    const found = await exports.default.fetch(`${ORIGIN}/v1/net/${net.network}/search?q=cat`, {
      headers: { [PASS_HEADER]: pass },
    });
    expect(await answerOf(found)).toEqual([403, "network/banned"]);
    const newcomer = await net.member();
    expect((await newcomer.expect("bans")).list).toEqual(list);
  });

  test("of an invite put out everybody who came by it", async () => {
    const net = await OwnedNetwork.make();
    const [invite, who] = [await makeIdentity(), await makeIdentity()];
    const [teller, came] = [
      await net.member(),
      await net.join(who, await net.chain({ who: invite }, { who })),
    ];
    teller.send({ kind: "bans", list: await net.bans([invite.id]) });
    expect(await refusalOf(came.ear)).toBe("network/banned");
  });

  test("are the owner's alone, and an older list changes nothing", async () => {
    const net = await OwnedNetwork.make();
    const [victim, forger] = [await net.member(), await net.member()];
    forger.send({ kind: "bans", list: await net.bans([victim.id], 9, forger.identity) });
    expect(await refusalOf(forger.ear)).toBe("network/not-owner");
    const latest = await net.bans([], 3);
    victim.send({ kind: "bans", list: latest });
    expect((await victim.expect("bans")).list).toEqual(latest);
    victim.send({ kind: "bans", list: await net.bans([victim.id], 2) });
    victim.send({ kind: "find", request: 1, id: victim.id });
    expect((await victim.expect("found")).contact?.id).toBe(victim.id);
  });

  test("are taken a few at once, each row of them accounted for, and whoever brings more comes again", async () => {
    const net = await OwnedNetwork.make();
    const teller = await net.member();
    for (let number = 1; number <= BAN_LISTS_BURST; number++) {
      teller.send({ kind: "bans", list: await net.bans([], number) });
      await teller.expect("bans");
    }
    // The same again and older ones are no more work for anybody.
    for (const number of [1, BAN_LISTS_BURST])
      teller.send({ kind: "bans", list: await net.bans([], number) });
    const { networks } = await env.LEDGER.getByName("edge").read();
    const usage = networks.find(({ network }) => network === net.network)?.usage;
    // Its alarm is a row too.
    expect(usage?.rowsWritten).toBe(BAN_LISTS_BURST + 1);
    teller.send({ kind: "bans", list: await net.bans([], BAN_LISTS_BURST + 1) });
    expect(await refusalOf(teller.ear)).toBe("edge/rate-limited");
  });

  test("are forgotten where nobody has come for long, and brought again by who knows them", async () => {
    const net = await OwnedNetwork.make();
    const stub = env.RENDEZVOUS.getByName(`${net.network}/0`);
    const kept = async (): Promise<Uint8Array | undefined> => (await stub.roster()).signedBans;
    const teller = await net.member();
    const list = await net.bans([], 7);
    teller.send({ kind: "bans", list });
    await teller.expect("bans");
    // While a member is there they stay, and the date is put off.
    expect(await runDurableObjectAlarm(stub)).toBe(true);
    expect(await kept()).toEqual(list);
    teller.ear.socket.close(1000);
    await teller.ear.closed();
    await sleepRendezvous(net.network);
    expect(await runDurableObjectAlarm(stub)).toBe(true);
    expect(await kept()).toBeUndefined();
    expect(await runDurableObjectAlarm(stub)).toBe(false);
    const again = await net.member();
    again.send({ kind: "bans", list });
    expect((await again.expect("bans")).list).toEqual(list);
    expect(await kept()).toEqual(list);
  });

  test("end a relay channel, and its tickets open no other", async () => {
    const net = await OwnedNetwork.make();
    const [teller, asker, asked] = [await net.member(), await net.member(), await net.member()];
    asker.send({ kind: "relay", request: 1, to: asked.id, sealed: SEALED });
    const { channel, ticket } = await asker.expect("relay-ready");
    const offer = await asked.expect("relay-offer");
    const [a, b] = [
      new Ear(await request(`/v1/relay/${channel}?ticket=${ticket}`)),
      new Ear(await request(`/v1/relay/${channel}?ticket=${offer.ticket}`)),
    ];
    expect([await a.next(), await b.next()]).toEqual(["ready", "ready"]);
    teller.send({ kind: "bans", list: await net.bans([asker.id]) });
    await teller.expect("bans");
    await sleepRelay(channel);
    a.socket.send("ack:0");
    expect(await a.closed()).toMatchObject({ code: 1008, reason: "network/banned" });
    expect(await b.closed()).toMatchObject({ code: 4002 });
    const again = new Ear(await request(`/v1/relay/${channel}?ticket=${ticket}`));
    expect(await again.closed()).toMatchObject({ code: 1008, reason: "network/banned" });
    const fresh = await mintTicket(
      { channel, side: 0, peer: asker.id, network: net.network, expiresMs: Date.now() + 60_000 },
      await ticketKey(env),
    );
    const last = new Ear(await request(`/v1/relay/${channel}?ticket=${fresh}`));
    expect(await last.closed()).toMatchObject({ code: 1008, reason: "network/banned" });
  });
});

test("a membership that ends while its socket is open ends it with the next message", async () => {
  const net = await OwnedNetwork.make();
  const peer = await net.member({ expiresMs: Date.now() + 60_000 });
  await runInDurableObject(env.RENDEZVOUS.getByName(`${net.network}/0`), (_, state) => {
    for (const socket of state.getWebSockets()) {
      const joined = socket.deserializeAttachment() as { readonly pass: object };
      socket.serializeAttachment({ ...joined, pass: { ...joined.pass, expiresMs: Date.now() - 1 } });
    }
  });
  await sleepRendezvous(net.network);
  peer.send({ kind: "find", request: 1, id: peer.id });
  expect(await refusalOf(peer.ear)).toBe("network/expired");
});
