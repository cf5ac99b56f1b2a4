/** What the operator allows: networks that he has not named get nothing, whatever they ask, and wake no object; neither do PeerJS clients where it is off. */
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { Env } from "../../edge/env.ts";
import worker from "../../edge/index.ts";
import { isServed } from "../../edge/networks.ts";
import { mintTicket } from "../../edge/tickets.ts";
import { channelIdFrom, type NetworkName, requireNetworkName } from "../../shared/ids.ts";
import { decodeFromRendezvous } from "../../shared/messages.ts";
import { Ear, makeIdentity, ORIGIN } from "./harness.ts";
import { answerOf, OwnedNetwork, refusalOf } from "./owned-network.ts";

/** An edge whose objects must not be touched. */
function closedEdge(vars: Partial<Env>): Env {
  const touched = (): never => {
    throw new Error("an object was touched");
  };
  const none = { getByName: touched, get: touched, idFromName: touched } as never;
  const objects = { RENDEZVOUS: none, RELAY: none, KEYS: none, TALLY: none, PEERJS: none, SEARCH: none };
  return { ...(env as Env), ...objects, LEDGER: none, ...vars };
}

function ask(edge: Env, path: string, init: RequestInit = {}): Promise<Response> {
  return Promise.resolve(worker.fetch(new Request(`${ORIGIN}${path}`, init), edge, createExecutionContext()));
}

const UPGRADE = { headers: { upgrade: "websocket" } };

async function relayPath(network: NetworkName): Promise<string> {
  const channel = channelIdFrom(crypto.getRandomValues(new Uint8Array(16)));
  const key = (await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
  ])) as CryptoKey;
  const { id: peer } = await makeIdentity();
  const ticket = await mintTicket({ channel, side: 0, peer, network, expiresMs: Date.now() + 60_000 }, key);
  return `/v1/relay/${channel}?ticket=${ticket}`;
}

describe("NETWORKS", () => {
  const lobby = requireNetworkName("lobby");
  const main = requireNetworkName("main");

  test.each([
    ["all, unless it says something", undefined, [true, true, true, true]],
    ["all", "", [true, true, true, true]],
    ["all", "all", [true, true, true, true]],
    ["private ones", "private", [false, false, true, true]],
    ["a name", "lobby", [true, false, false, false]],
    ["names, and private ones", "private, lobby", [true, false, true, true]],
    ["a private one by its name, and no other", "owned", [false, false, true, false]],
    ["none, where no network can have such a name", "All Private!", [false, false, false, false]],
  ] as const)("serves %s: %j", async (_, setting, served) => {
    const [owned, bySecret] = [await OwnedNetwork.make(), await OwnedNetwork.make("secret")];
    const vars = setting === undefined ? {} : { NETWORKS: setting.replace("owned", owned.network) };
    const networks = [lobby, main, owned.network, bySecret.network];
    expect(networks.map((network) => isServed({ ...(env as Env), ...vars }, network))).toEqual(served);
  });

  test.each(["private", "lobby", "i.abc"])(
    "with %j no other network gets anything, and no object is touched",
    async (NETWORKS) => {
      const edge = closedEdge({ NETWORKS });
      const path = `/v1/net/${main}`;
      expect(await refusalOf(new Ear(await ask(edge, `${path}/join`, UPGRADE)))).toBe("network/not-allowed");
      const relay = new Ear(await ask(edge, await relayPath(main), UPGRADE));
      expect(await relay.closed()).toEqual({ code: 1008, reason: "network/not-allowed" });
      for (const [route, init] of [
        ["join", {}],
        ["search?q=cat", {}],
        ["members", {}],
        ["listings", { method: "POST", body: "x" }],
      ] as const)
        expect(await answerOf(await ask(edge, `${path}/${route}`, init))).toEqual([
          403,
          "network/not-allowed",
        ]);
    },
  );

  test("a member with a good pass of a network that is not named is no exception; of one that is, it comes in", async () => {
    const [named, other] = [await OwnedNetwork.make(), await OwnedNetwork.make()];
    const knock = async (net: OwnedNetwork, edge: Env): Promise<Ear> => {
      const who = await makeIdentity();
      const pass = await net.pass(who, await net.chain({ who }));
      return new Ear(await ask(edge, `/v1/net/${net.network}/join?pass=${pass}`, UPGRADE));
    };
    const vars = { NETWORKS: named.network };
    expect(await refusalOf(await knock(other, closedEdge(vars)))).toBe("network/not-allowed");
    const heard = await (await knock(named, { ...(env as Env), ...vars })).next();
    expect(decodeFromRendezvous(new Uint8Array(heard as ArrayBuffer)).kind).toBe("challenge");
  });
});

test('PEERJS_KEYS = "none" turns PeerJS off: every way in is told so, and no object is touched', async () => {
  const edge = closedEdge({ PEERJS_KEYS: "none", PEERJS_DISCOVERY: "peerjs none" });
  for (const key of ["peerjs", "none", ""]) {
    const ear = new Ear(await ask(edge, `/peerjs/peerjs?key=${key}&id=a&token=b`, UPGRADE));
    const msg = "This edge serves no PeerJS clients.";
    expect(JSON.parse((await ear.next()) as string)).toEqual({
      type: "ERROR",
      payload: { msg, code: "peerjs/key-invalid" },
    });
    await ear.closed();
  }
  for (const path of [
    "/peerjs",
    "/peerjs/",
    "/peerjs/peerjs/id",
    "/peerjs/peerjs/peers",
    "/peerjs/none/peers",
  ])
    expect(await answerOf(await ask(edge, path))).toEqual([403, "peerjs/key-invalid"]);
});
