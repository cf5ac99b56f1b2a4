/** TURN, which its operator pays for, goes to those who are in, and to them only while the edge relays. STUN goes to everybody. */
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import { learn, STAGE_HEADER } from "../../edge/door.ts";
import { ticketKey } from "../../edge/edge-keys.ts";
import type { Env } from "../../edge/env.ts";
import type { IceServer } from "../../edge/ice.ts";
import { ice } from "../../edge/ice-routes.ts";
import { mintReturnPass } from "../../edge/return-pass.ts";
import type { NetworkName } from "../../shared/ids.ts";
import { Ear, freshNetwork, makeIdentity, ORIGIN, request, TestPeer } from "./harness.ts";

const STUN = { urls: ["stun:stun.example:3478"] };
const TURN = expect.objectContaining({
  urls: ["turn:turn.example:3478"],
  username: expect.stringMatching(/^\d+:[0-9a-f]{16}$/) as string,
}) as IceServer;
const WITH_TURN: Env = {
  ...env,
  STUN_URLS: STUN.urls.join(),
  TURN_URLS: "turn:turn.example:3478",
  TURN_SECRET: "north",
};

interface Asked {
  readonly servers: readonly IceServer[];
  readonly ttlSeconds: number;
  readonly keep: string | null;
}

async function ask(query: Readonly<Record<string, string>> = {}, over: Partial<Env> = {}): Promise<Asked> {
  const url = `${ORIGIN}/v1/ice?${new URLSearchParams(query).toString()}`;
  const response = await ice.request(url, {}, { ...WITH_TURN, ...over });
  expect(response.status).toBe(200);
  const { iceServers, ttlSeconds } = (await response.json()) as {
    iceServers: IceServer[];
    ttlSeconds: number;
  };
  return { servers: iceServers, ttlSeconds, keep: response.headers.get("cache-control") };
}

/** Joins as peers do, and is given a return pass. */
async function enter(network: NetworkName): Promise<string> {
  const peer = await TestPeer.meet(new Ear(await request(`/v1/net/${network}/join?back=`)), network);
  await peer.join();
  const { pass } = await peer.expect("budget");
  await peer.expect("joined");
  return pass;
}

test("a member is given TURN for an hour, and no cache keeps it", async () => {
  const network = freshNetwork();
  const { servers, ttlSeconds, keep } = await ask({ network, back: await enter(network) });
  expect(servers).toEqual([STUN, TURN]);
  expect(Number(servers[1]?.username?.split(":")[0]) - Date.now() / 1000).toBeLessThanOrEqual(3_600);
  expect([ttlSeconds, keep]).toEqual([900, "no-store"]);
});

describe("whoever is not in is given STUN alone", () => {
  let [network, back] = [freshNetwork(), ""];
  beforeEach(async () => {
    network = freshNetwork();
    back = await enter(network);
  });

  const strangers: Record<string, () => Promise<Readonly<Record<string, string>>>> = {
    "nothing at all": async () => ({}),
    "no pass": async () => ({ network }),
    "an older peer, which shows none": async () => ({ network, back: "" }),
    "no network": async () => ({ back }),
    "the pass of another network": async () => ({ network: freshNetwork(), back }),
    "a pass that is changed": async () => ({
      network,
      back: `${back.slice(0, -2)}${back.endsWith("AA") ? "BA" : "AA"}`,
    }),
    "a pass of its own making": async () => {
      const key = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, [
        "sign",
        "verify",
      ]);
      const { id } = await makeIdentity();
      return { network, back: await mintReturnPass(id, network, Date.now() + 60_000, key as CryptoKey) };
    },
    "a pass that has expired": async () => {
      const { id } = await makeIdentity();
      return { network, back: await mintReturnPass(id, network, Date.now() - 1, await ticketKey(env)) };
    },
  };
  for (const [name, query] of Object.entries(strangers)) {
    test(name, async () => expect((await ask(await query())).servers).toEqual([STUN]));
  }

  test("any, in an open network, where the edge serves private ones only", async () => {
    expect((await ask({ network, back }, { NETWORKS: "private" })).servers).toEqual([STUN]);
  });
});

test("STUN alone may be kept, and is all there is without TURN", async () => {
  expect(await ask({}, { TURN_SECRET: "" })).toEqual({
    servers: [STUN],
    ttlSeconds: 3_600,
    keep: "private, max-age=3600",
  });
});

test("an edge that relays no more gives no TURN either", async () => {
  const network = freshNetwork();
  const query = { network, back: await enter(network) };
  learn(new Response(null, { headers: { [STAGE_HEADER]: "closed;60000" } }), network, undefined);
  expect((await ask(query)).servers).toEqual([STUN]);
});
