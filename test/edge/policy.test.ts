/** The small rules at the edge's door, and what it tells about itself. */
import { env, exports } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { serveAsset } from "../../edge/assets.ts";
import { pickBeacons } from "../../edge/beacons.ts";
import type { Env } from "../../edge/env.ts";
import { coturnCredentials, type IceServer, iceServers } from "../../edge/ice.ts";
import type { Member } from "../../edge/members.ts";
import { addressPrefix } from "../../edge/policy.ts";
import { TokenBucket } from "../../edge/token-bucket.ts";
import { type PeerId, peerIdFromKey } from "../../shared/ids.ts";
import { BEACONS_MAX, JOIN_TIMEOUT_MS, WIRE_VERSION, WIRE_VERSION_OLDEST } from "../../shared/limits.ts";
import { Ear, freshNetwork, makeIdentity, ORIGIN, request, sleepRendezvous, TestPeer } from "./harness.ts";

describe("address prefixes", () => {
  const prefixes: Record<string, string | undefined> = {
    "192.0.2.77": "192.0.2.0/24",
    "::ffff:192.0.2.77": "192.0.2.0/24",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2/64",
    "2001:0DB8:0001::6": "2001:db8:1:0/64",
    "fe80::1": "fe80:0:0:0/64",
    "127.0.0.1": undefined,
    "::1": undefined,
    "": undefined,
    nonsense: undefined,
  };
  for (const [address, prefix] of Object.entries(prefixes)) {
    test(`${address || "(none)"} is in ${prefix ?? "no prefix"}`, () =>
      expect(addressPrefix(address)).toBe(prefix));
  }
});

describe("what the edge serves", () => {
  const policyOf = async (path: string): Promise<string> => {
    const assets = { fetch: async () => new Response("file") } as unknown as Fetcher;
    const response = await serveAsset({ ...env, ASSETS: assets }, new Request(ORIGIN + path));
    return response.headers.get("content-security-policy") ?? "";
  };

  test.each(["/admin", "/admin.html"])(
    "%s talks to nobody but the edge, and loads no other's code",
    async (path) => {
      const policy = await policyOf(path);
      for (const rule of [
        "default-src 'none'",
        "connect-src 'self'",
        "script-src 'self'",
        "frame-ancestors 'none'",
      ])
        expect(policy.split("; ")).toContain(rule);
      expect(policy).not.toMatch(/https?:|wss?:|\*|unsafe/);
    },
  );

  test("the page of everybody may name another edge", async () => {
    expect(await policyOf("/")).toContain("connect-src 'self' https:");
    expect(await policyOf("/admin.js")).toBe(await policyOf("/"));
  });
});

describe("the token bucket", () => {
  test("gives its burst, then its rate", () => {
    const bucket = new TokenBucket(3, 2, 0);
    expect([1, 2, 3, 4].map(() => bucket.take(0))).toEqual([true, true, true, false]);
    expect([bucket.take(400), bucket.take(500), bucket.take(500)]).toEqual([false, true, false]);
    expect([1, 2, 3, 4].map(() => bucket.take(1_000_000))).toEqual([true, true, true, false]);
  });
});

describe("beacons", () => {
  const member = (first: number): Member =>
    ({ key: new Uint8Array(32).fill(first, 0, 1), id: String(first) }) as unknown as Member;

  test("half are the nearest by XOR, the rest are others, none twice", () => {
    const all = Array.from({ length: 200 }, (_, index) => member(index));
    const picked = pickBeacons(all, member(130).key, () => 0.999).map(({ id }) => Number(id));
    expect(new Set(picked).size).toBe(BEACONS_MAX);
    expect(picked.slice(0, BEACONS_MAX / 2)).toEqual([130, 131, 128, 129, 134, 135, 132, 133]);
  });

  test("all of them when they are few", () => {
    expect(pickBeacons([member(1), member(2)], member(0).key, () => 0)).toHaveLength(2);
    expect(pickBeacons([], member(0).key, () => 0)).toEqual([]);
  });
});

describe("sockets that never join", () => {
  test("are closed when somebody else comes, also after a sleep", async () => {
    const network = freshNetwork();
    const silent = await TestPeer.connect(network);
    const stub = env.RENDEZVOUS.getByName(`${network}/0`);
    await runInDurableObject(stub, (_, ctx) => {
      for (const socket of ctx.getWebSockets()) {
        const greeted = socket.deserializeAttachment() as { atMs: number };
        socket.serializeAttachment({ ...greeted, atMs: greeted.atMs - JOIN_TIMEOUT_MS - 1 });
      }
    });
    await sleepRendezvous(network);
    await TestPeer.joined(network);
    expect(await silent.expect("error")).toMatchObject({ request: 0, code: "edge/challenge-failed" });
    expect(await silent.ear.closed()).toEqual({ code: 1008, reason: "edge/challenge-failed" });
  });
});

describe("ICE", () => {
  const vars = (some: Partial<Env>): Env => some as Env;
  const ana = peerIdFromKey(new Uint8Array(32).fill(1));
  const noFetch = (): Promise<Response> => Promise.reject(new Error("nobody is asked"));

  test("coturn's credentials are HMAC-SHA1 of the user name, in base64", async () => {
    // openssl: printf 1433895918:ninefingers | openssl dgst -sha1 -hmac logen -binary | base64
    expect(await coturnCredentials("logen", "ninefingers", 1_433_895_918)).toEqual({
      username: "1433895918:ninefingers",
      credential: "HY+Vd729N0UZ/xCzjg1F0GsoMK8=",
    });
  });

  test("STUN and coturn come from the configuration", async () => {
    const some = vars({
      STUN_URLS: "stun:a:3478, stun:b:3478",
      TURN_URLS: "turn:c:3478",
      TURN_SECRET: "north",
    });
    const servers = await iceServers(some, { nowMs: 1_000_000, fetch: noFetch }, ana);
    expect(servers).toMatchObject([
      { urls: ["stun:a:3478", "stun:b:3478"] },
      {
        urls: ["turn:c:3478"],
        username: expect.stringMatching(/^4600:[0-9a-f]{16}$/),
        credential: expect.stringMatching(/^[A-Za-z0-9+/]{27}=$/),
      },
    ]);
    const half = vars({ TURN_URLS: "turn:c:3478" });
    expect(await iceServers(half, { nowMs: 0, fetch: noFetch }, ana)).toEqual([]);
  });

  test("coturn, which counts by name, sees each member under one of its own, and its id under none", async () => {
    const some = vars({ TURN_URLS: "turn:c:3478", TURN_SECRET: "north" });
    const userOf = async (member: PeerId): Promise<string> => {
      const [server] = await iceServers(some, { nowMs: 0, fetch: noFetch }, member);
      return server?.username ?? "";
    };
    const [bob, again] = [(await makeIdentity()).id, await userOf(ana)];
    expect(await userOf(ana)).toBe(again);
    expect(await userOf(bob)).not.toBe(again);
    expect(again).not.toContain(ana.slice(0, 16));
  });

  test("Cloudflare is asked once in a quarter of a lifetime, and port 53 is dropped", async () => {
    const asked: { url: string; init: RequestInit }[] = [];
    const answer: { iceServers: IceServer[] } = {
      iceServers: [
        { urls: ["stun:stun.cloudflare.com:3478", "stun:stun.cloudflare.com:53"] },
        {
          urls: ["turn:turn.cloudflare.com:53?transport=udp", "turns:turn.cloudflare.com:443?transport=tcp"],
          username: "u",
          credential: "c",
        },
      ],
    };
    const fetch = async (url: string, init: RequestInit): Promise<Response> => {
      asked.push({ url, init });
      return Response.json(answer, { status: 201 });
    };
    const some = vars({ TURN_KEY_ID: "key-one", TURN_KEY_API_TOKEN: "token" });
    const expected = [
      { urls: ["stun:stun.cloudflare.com:3478"] },
      { urls: ["turns:turn.cloudflare.com:443?transport=tcp"], username: "u", credential: "c" },
    ];
    expect(await iceServers(some, { nowMs: 0, fetch }, ana)).toEqual(expected);
    expect(await iceServers(some, { nowMs: 899_000, fetch }, ana)).toEqual(expected);
    expect(asked.map(({ url }) => url)).toEqual([
      "https://rtc.live.cloudflare.com/v1/turn/keys/key-one/credentials/generate-ice-servers",
    ]);
    expect(asked[0]?.init).toMatchObject({
      method: "POST",
      body: '{"ttl":3600}',
      headers: { authorization: "Bearer token" },
    });
    await iceServers(some, { nowMs: 900_001, fetch }, ana);
    expect(asked).toHaveLength(2);
  });

  test("when Cloudflare fails the rest is answered, and it is not asked again at once", async () => {
    let asked = 0;
    const fetch = async (): Promise<Response> => {
      asked += 1;
      return new Response("no", { status: 500 });
    };
    const some = vars({ STUN_URLS: "stun:a:3478", TURN_KEY_ID: "key-two", TURN_KEY_API_TOKEN: "token" });
    for (const nowMs of [0, 1_000, 31_000])
      expect(await iceServers(some, { nowMs, fetch }, ana)).toEqual([{ urls: ["stun:a:3478"] }]);
    expect(asked).toBe(2);
  });

  test("the route answers to any page", async () => {
    const response = await exports.default.fetch(`${ORIGIN}/v1/ice`);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(await response.json()).toEqual({
      iceServers: [{ urls: ["stun:stun.cloudflare.com:3478"] }],
      ttlSeconds: 3_600,
    });
  });
});

describe("what the edge tells of itself", () => {
  const metrics = async (): Promise<Map<string, number>> => {
    const text = await (await exports.default.fetch(`${ORIGIN}/metrics`)).text();
    const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      samples.map((line) => [
        line.slice(0, line.lastIndexOf(" ")),
        Number(line.slice(line.lastIndexOf(" ") + 1)),
      ]),
    );
  };
  const difference = (before: Map<string, number>, after: Map<string, number>, name: string): number =>
    (after.get(name) ?? 0) - (before.get(name) ?? 0);

  test("health, to any page", async () => {
    const response = await exports.default.fetch(`${ORIGIN}/health`);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect([response.status, await response.json()]).toEqual([
      200,
      {
        ok: true,
        status: "ok",
        service: "peerloom-edge",
        wireVersion: WIRE_VERSION,
        wireVersionOldest: WIRE_VERSION_OLDEST,
        parts: {
          rendezvous: "ok",
          relay: "ok",
          peerjs: "ok",
          search: "ok",
          keys: "ok",
          tally: "ok",
          ledger: "ok",
        },
      },
    ]);
  });

  test("a preflight is answered", async () => {
    const response = await exports.default.fetch(`${ORIGIN}/v1/ice`, { method: "OPTIONS" });
    expect([response.status, response.headers.get("access-control-allow-methods")]).toEqual([
      204,
      "GET, HEAD, OPTIONS",
    ]);
  });

  test("joins, signals, errors, sockets and what the relay carried are counted", async () => {
    const network = freshNetwork();
    await TestPeer.joined(freshNetwork()); // the tally is awake
    const before = await metrics();
    const [a, b] = [await TestPeer.joined(network), await TestPeer.joined(network)];
    a.send({ kind: "signal", request: 1, to: b.id, sealed: new Uint8Array(4) });
    await b.expect("signal");
    const rude = await TestPeer.connect(network);
    rude.ear.socket.send("hello");
    await rude.ear.closed();
    a.send({ kind: "relay", request: 2, to: b.id, sealed: new Uint8Array(4) });
    const [ready, offer] = [await a.expect("relay-ready"), await b.expect("relay-offer")];
    const responses = [
      await request(`/v1/relay/${ready.channel}?ticket=${ready.ticket}`),
      await request(`/v1/relay/${ready.channel}?ticket=${offer.ticket}`),
    ];
    const [left, right] = responses.map((response) => new Ear(response));
    expect([await left?.next(), await right?.next()]).toEqual(["ready", "ready"]);
    for (let i = 0; i < 3; i++) left?.socket.send(new Uint8Array(1_000));
    for (let i = 0; i < 3; i++) await right?.next();
    const expected = {
      peerloom_joins_total: 2,
      peerloom_signals_total: 1,
      'peerloom_errors_total{code="wire/malformed"}': 1,
      peerloom_relay_channels_total: 1,
      peerloom_relay_frames_total: 3,
      peerloom_relay_bytes_total: 3_000,
      peerloom_members: 2,
      'peerloom_open_sockets{object="relay"}': 2,
    };
    // Answers are kept for a second.
    const deadline = Date.now() + 5_000;
    let seen: Record<string, number> = {};
    do {
      const after = await metrics();
      seen = Object.fromEntries(Object.keys(expected).map((name) => [name, difference(before, after, name)]));
    } while (seen["peerloom_relay_frames_total"] !== 3 && Date.now() < deadline);
    expect(seen).toEqual(expected);
  });

  test("refusals at the door are counted by code", async () => {
    const before = await metrics();
    await request("/v1/net/UPPER/join");
    expect(difference(before, await metrics(), 'peerloom_refused_total{code="network/invalid-name"}')).toBe(
      1,
    );
  });

  test("what of the day's budget is spent, without a request more than others cause", async () => {
    const now = await metrics();
    expect(now.get("peerloom_budget_limit_units")).toBe(Number(env.BUDGET_UNITS));
    expect(now.get("peerloom_budget_units")).toBeGreaterThan(0);
    expect([now.get("peerloom_budget_stage"), now.get("peerloom_banned_prefixes")]).toEqual([0, 0]);
  });
});
