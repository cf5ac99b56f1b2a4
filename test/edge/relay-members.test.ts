/** What a relay channel knows of its members: whatever ends a membership ends what is relayed for it, on either side of a channel. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { forgetBans } from "../../edge/ban-cache.ts";
import { ticketKey } from "../../edge/edge-keys.ts";
import { mintTicket, readTicket } from "../../edge/tickets.ts";
import type { PeerId } from "../../shared/ids.ts";
import { type Ear, makeIdentity, sleepRelay, type TestIdentity, type TestPeer } from "./harness.ts";
import { granted, openSide, OwnedNetwork, relayed } from "./owned-network.ts";

/** Two who came by one invite, and one who did not. */
async function guests(): Promise<{
  readonly net: OwnedNetwork;
  readonly invite: TestIdentity;
  readonly pair: readonly [TestPeer, TestPeer];
  ban(...keys: readonly PeerId[]): Promise<void>;
}> {
  const [net, invite] = [await OwnedNetwork.make(), await makeIdentity()];
  const teller = await net.member();
  const guest = async (): Promise<TestPeer> => {
    const who = await makeIdentity();
    return net.join(who, await net.chain({ who: invite }, { who }));
  };
  return {
    net,
    invite,
    pair: [await guest(), await guest()],
    ban: async (...keys) => {
      teller.send({ kind: "bans", list: await net.bans(keys) });
      await teller.expect("bans");
      forgetBans(net.network);
    },
  };
}

async function checkEnded(ended: Ear, other: Ear, reason: string): Promise<void> {
  expect(await ended.closed()).toEqual({ code: 1008, reason });
  expect(await other.closed()).toEqual({ code: 4002, reason: "link/closed" });
}

describe("a revoked invite", () => {
  test("ends the channel of two who came by it, also after a sleep", async () => {
    const { invite, pair, ban } = await guests();
    const [a, b, channel] = await relayed(...pair);
    await ban(invite.id);
    await sleepRelay(channel);
    a.socket.send("ack:0");
    await checkEnded(a, b, "network/banned");
  });

  test("leaves their tickets worthless", async () => {
    const { invite, pair, ban } = await guests();
    const { channel, tickets } = await granted(...pair);
    await ban(invite.id);
    for (const ticket of tickets)
      expect(await (await openSide(channel, ticket)).closed()).toEqual({
        code: 1008,
        reason: "network/banned",
      });
  });

  test("ends it however many invites lie between", async () => {
    const net = await OwnedNetwork.make();
    const invites = [await makeIdentity(), await makeIdentity(), await makeIdentity(), await makeIdentity()];
    const [who, other] = [await makeIdentity(), await net.member()];
    const links = invites.map((each, index) => ({ who: each, delegations: 3 - index }));
    const [a, b] = await relayed(await net.join(who, await net.chain(...links, { who })), other);
    other.send({ kind: "bans", list: await net.bans([invites[3]?.id as PeerId]) });
    await other.expect("bans");
    forgetBans(net.network);
    a.socket.send("ack:0");
    await checkEnded(a, b, "network/banned");
  });
});

test("a banned side is put out by the other's acknowledgements: who only sends says none", async () => {
  const { pair, ban } = await guests();
  const [sender, receiver] = await relayed(...pair);
  await ban(pair[0].id);
  sender.socket.send(new Uint8Array(8));
  await receiver.next();
  receiver.socket.send("ack:8");
  await checkEnded(sender, receiver, "network/banned");
});

describe("a membership that has ended", () => {
  test("ends its channel, whichever side says something", async () => {
    for (const speaks of [0, 1] as const) {
      const { pair } = await guests();
      const [a, b, channel] = await relayed(...pair);
      await runInDurableObject(env.RELAY.getByName(channel), (_, state) => {
        for (const socket of state.getWebSockets()) {
          const saved = socket.deserializeAttachment() as {
            readonly side: number;
            readonly membership: object;
          };
          if (saved.side === 0)
            socket.serializeAttachment({
              ...saved,
              membership: { ...saved.membership, expiresMs: Date.now() - 1 },
            });
        }
      });
      await sleepRelay(channel);
      [a, b][speaks]?.socket.send("ack:0");
      await checkEnded(a, b, "network/expired");
    }
  });

  test("opens no channel: the ticket says until when it is", async () => {
    const net = await OwnedNetwork.make();
    const expiresMs = Date.now() + 3_000;
    const [short, long] = [await net.member({ expiresMs }), await net.member()];
    const { channel, tickets } = await granted(short, long);
    const ticket = readTicket(tickets[0]);
    expect(ticket?.membership).toEqual({ expiresMs, keys: [short.id] });
    if (ticket?.membership === undefined) throw new Error("a member's ticket says of its membership");
    const ended = { ...ticket, membership: { ...ticket.membership, expiresMs: Date.now() - 1 } };
    const late = await openSide(channel, await mintTicket(ended, await ticketKey(env)));
    expect(await late.closed()).toEqual({ code: 1008, reason: "network/expired" });
  });
});
