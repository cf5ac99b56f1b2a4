/** The rendezvous: who may join, what members may do, and that nothing of it depends on the object staying awake. */
import { exports } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { encode } from "../../shared/codec.ts";
import { channelIdFrom, type NetworkName } from "../../shared/ids.ts";
import {
  BEACONS_MAX,
  CLOCK_SKEW_MS_MAX,
  RENDEZVOUS_MESSAGE_BYTES_MAX,
  RENDEZVOUS_MESSAGES_BURST,
} from "../../shared/limits.ts";
import { decodeFromRendezvous } from "../../shared/messages.ts";
import {
  Ear,
  freshNetwork,
  type JoinForgery,
  makeIdentity,
  ORIGIN,
  request,
  sleepRendezvous,
  TestPeer,
} from "./harness.ts";

const sealed = (byte: number): Uint8Array => new Uint8Array([byte, 1, 2, 3]);

describe("join", () => {
  test("a good join is accepted, and the next newcomer is told of the first", async () => {
    const network = freshNetwork();
    const first = await TestPeer.joined(network, { addresses: ["tcp://192.0.2.1:4000"] });
    await sleepRendezvous(network);
    const second = await TestPeer.connect(network);
    await second.join();
    const joined = await second.expect("joined");
    expect(joined).toMatchObject({
      keep: true,
      relay: true,
      members: 2,
      beacons: [{ id: first.id, addresses: ["tcp://192.0.2.1:4000"] }],
    });
  });

  test("the object may sleep between challenge and answer", async () => {
    const network = freshNetwork();
    const peer = await TestPeer.connect(network);
    await sleepRendezvous(network);
    await peer.join();
    await peer.expect("joined");
  });

  test("a further origin from the configuration is accepted", async () => {
    await TestPeer.joined(freshNetwork(), { origin: "https://also.example" });
  });

  test("no more than BEACONS_MAX beacons are told", async () => {
    const network = freshNetwork();
    for (let i = 0; i < BEACONS_MAX + 4; i++) await TestPeer.joined(network);
    const last = await TestPeer.connect(network);
    await last.join({ beacon: false });
    const { beacons, keep, members } = await last.expect("joined");
    expect([beacons.length, new Set(beacons.map(({ id }) => id)).size, keep, members]).toEqual([
      BEACONS_MAX,
      BEACONS_MAX,
      false,
      BEACONS_MAX + 5,
    ]);
  });

  const refused: Record<string, (network: NetworkName) => Promise<{ forgery: JoinForgery; code?: string }>> =
    {
      "another key's id": async () => ({ forgery: { id: (await makeIdentity()).id } }),
      "another edge's origin": async () => ({ forgery: { origin: "https://evil.example" } }),
      "another network": async () => ({ forgery: { network: freshNetwork() } }),
      "a time in the past": async () => ({ forgery: { timeMs: Date.now() - CLOCK_SKEW_MS_MAX - 5_000 } }),
      "a time in the future": async () => ({ forgery: { timeMs: Date.now() + CLOCK_SKEW_MS_MAX + 5_000 } }),
      "the nonce of another socket": async (network) => ({
        forgery: { nonce: (await TestPeer.connect(network)).challenge.nonce },
      }),
      "another wire version": async () => ({ forgery: { version: 3 }, code: "wire/version" }),
    };
  for (const [what, forge] of Object.entries(refused)) {
    test(`a join with ${what} is refused`, async () => {
      const network = freshNetwork();
      const { forgery, code = "edge/challenge-failed" } = await forge(network);
      const peer = await TestPeer.connect(network);
      await sleepRendezvous(network);
      await peer.join(forgery);
      expect(await peer.expect("error")).toMatchObject({ request: 0, code });
      expect(await peer.ear.closed()).toEqual({ code: 1008, reason: code });
    });
  }

  test("the challenge is in the newest version of both, and an older peer is told what to update", async () => {
    const network = freshNetwork();
    const challenged = async (query: string): Promise<number> => {
      const ear = new Ear(await request(`/v1/net/${network}/join${query}`));
      const challenge = decodeFromRendezvous(new Uint8Array((await ear.next()) as ArrayBuffer));
      return challenge.kind === "challenge" ? challenge.version : -1;
    };
    const stated = ["", "?v=1", "?v=2", "?v=3", "?v=0", "?v=x", "?v=1e999"];
    expect(await Promise.all(stated.map(challenged))).toEqual([1, 1, 2, 2, 2, 2, 2]);
    await TestPeer.joined(network, { version: 1 });
    const old = await TestPeer.connect(network);
    await old.join({ version: 0 });
    const { code, message } = await old.expect("error");
    expect([code, message]).toEqual(["wire/version", expect.stringContaining("Update peerloom on the peer")]);
  });

  test("an id that is no point on the curve is refused, not a crash", async () => {
    const peer = await TestPeer.connect(freshNetwork());
    await peer.join({ id: `${"7".repeat(51)}q` as never });
    expect(await peer.expect("error")).toMatchObject({ code: "edge/challenge-failed" });
  });

  test("a second join on one socket ends it", async () => {
    const peer = await TestPeer.joined(freshNetwork());
    await peer.join();
    expect(await peer.expect("error")).toMatchObject({ request: 0, code: "edge/not-member" });
  });

  test("a peer that comes again retires its old socket, also across a sleep", async () => {
    const network = freshNetwork();
    const identity = await makeIdentity();
    const old = await TestPeer.joined(network, {}, identity);
    await sleepRendezvous(network);
    const young = await TestPeer.joined(network, {}, identity);
    expect(await old.expect("error")).toMatchObject({ request: 0, code: "edge/replaced" });
    expect(await old.ear.closed()).toEqual({ code: 4001, reason: "edge/replaced" });
    const other = await TestPeer.joined(network);
    other.send({ kind: "signal", request: 1, to: young.id, sealed: sealed(7) });
    expect(await young.expect("signal")).toMatchObject({ from: other.id, sealed: sealed(7) });
  });
});

describe("members", () => {
  test("signals arrive as they were sealed, both ways, across sleeps", async () => {
    const network = freshNetwork();
    const [a, b] = [await TestPeer.joined(network), await TestPeer.joined(network)];
    await sleepRendezvous(network);
    a.send({ kind: "signal", request: 1, to: b.id, sealed: sealed(1) });
    expect(await b.expect("signal")).toEqual({ kind: "signal", from: a.id, sealed: sealed(1) });
    await sleepRendezvous(network);
    b.send({ kind: "signal", request: 1, to: a.id, sealed: sealed(2) });
    expect(await a.expect("signal")).toEqual({ kind: "signal", from: b.id, sealed: sealed(2) });
  });

  test("a signal to nobody is answered with the request's number", async () => {
    const peer = await TestPeer.joined(freshNetwork());
    peer.send({ kind: "signal", request: 77, to: (await makeIdentity()).id, sealed: sealed(1) });
    expect(await peer.expect("error")).toMatchObject({ request: 77, code: "peer/not-found" });
  });

  test("networks do not hear each other", async () => {
    const [a, b] = [await TestPeer.joined(freshNetwork()), await TestPeer.joined(freshNetwork())];
    a.send({ kind: "signal", request: 1, to: b.id, sealed: sealed(1) });
    expect(await a.expect("error")).toMatchObject({ code: "peer/not-found" });
  });

  test("find tells the newest addresses, and undefined for strangers", async () => {
    const network = freshNetwork();
    const [a, b] = [await TestPeer.joined(network), await TestPeer.joined(network)];
    b.send({ kind: "addresses", addresses: ["tcp://192.0.2.9:1"] });
    b.send({ kind: "find", request: 5, id: a.id });
    expect(await b.expect("found")).toEqual({
      kind: "found",
      request: 5,
      contact: { id: a.id, addresses: [] },
    });
    await sleepRendezvous(network);
    a.send({ kind: "find", request: 6, id: b.id });
    expect(await a.expect("found")).toEqual({
      kind: "found",
      request: 6,
      contact: { id: b.id, addresses: ["tcp://192.0.2.9:1"] },
    });
    a.send({ kind: "find", request: 7, id: (await makeIdentity()).id });
    expect(await a.expect("found")).toEqual({ kind: "found", request: 7, contact: undefined });
  });

  test("a relay is made for two: tickets for each side, and not with oneself", async () => {
    const network = freshNetwork();
    const [a, b] = [await TestPeer.joined(network), await TestPeer.joined(network)];
    await sleepRendezvous(network);
    a.send({ kind: "relay", request: 9, to: b.id, sealed: sealed(3) });
    const ready = await a.expect("relay-ready");
    const offer = await b.expect("relay-offer");
    expect(offer).toMatchObject({ from: a.id, channel: ready.channel, sealed: sealed(3) });
    expect([ready.request, ready.ticket === offer.ticket]).toEqual([9, false]);
    a.send({ kind: "relay", request: 10, to: a.id, sealed: sealed(3) });
    expect(await a.expect("error")).toMatchObject({ request: 10, code: "connect/self" });
    a.send({ kind: "relay", request: 11, to: (await makeIdentity()).id, sealed: sealed(3) });
    expect(await a.expect("error")).toMatchObject({ request: 11, code: "peer/not-found" });
  });

  test("a member that leaves is gone", async () => {
    const network = freshNetwork();
    const [a, b] = [await TestPeer.joined(network), await TestPeer.joined(network)];
    await sleepRendezvous(network);
    b.ear.socket.close(1000, "bye");
    await b.ear.closed();
    a.send({ kind: "find", request: 1, id: b.id });
    expect((await a.expect("found")).contact).toBeUndefined();
  });

  test("the last signal of a member that leaves at once still arrives, even if it wakes the object", async () => {
    const network = freshNetwork();
    const [a, b] = [await TestPeer.joined(network), await TestPeer.joined(network)];
    await sleepRendezvous(network);
    a.send({ kind: "signal", request: 1, to: b.id, sealed: sealed(8) });
    a.ear.socket.close(1000, "bye");
    expect(await b.expect("signal")).toMatchObject({ from: a.id, sealed: sealed(8) });
    await a.ear.closed();
    b.send({ kind: "find", request: 1, id: a.id });
    expect((await b.expect("found")).contact).toBeUndefined();
  });

  test("ping is answered without waking anybody", async () => {
    const network = freshNetwork();
    const peer = await TestPeer.joined(network);
    await sleepRendezvous(network);
    peer.ear.socket.send("ping");
    expect(await peer.ear.next()).toBe("pong");
  });
});

describe("bad input costs the sender its socket, and nobody else", () => {
  const deep = (depth: number): unknown => (depth === 0 ? 1 : [deep(depth - 1)]);
  const bad: Record<string, { message: Uint8Array | string; code: string; close: number }> = {
    "no msgpack": { message: new Uint8Array([0xc1]), code: "wire/malformed", close: 1008 },
    "nothing at all": { message: new Uint8Array(0), code: "wire/malformed", close: 1008 },
    text: { message: "hello", code: "wire/malformed", close: 1008 },
    "an unknown kind": { message: encode(["shout", 1]), code: "wire/malformed", close: 1008 },
    "a field too many": { message: encode(["addresses", [], 1]), code: "wire/malformed", close: 1008 },
    "the wrong type": { message: encode(["find", "1", 2]), code: "wire/malformed", close: 1008 },
    "deep nesting": { message: encode(deep(200)), code: "wire/malformed", close: 1008 },
    "a hundred thousand arrays in each other": {
      message: new Uint8Array(30_000).fill(0x91),
      code: "wire/malformed",
      close: 1008,
    },
    "a record extension": {
      message: new Uint8Array([0x92, 0xd4, 0x72, 0x40, 0x01]),
      code: "wire/malformed",
      close: 1008,
    },
    "one byte too many": {
      message: new Uint8Array(RENDEZVOUS_MESSAGE_BYTES_MAX + 1),
      code: "wire/too-large",
      close: 1009,
    },
    "a megabyte": { message: new Uint8Array(2 ** 20), code: "wire/too-large", close: 1009 },
  };
  for (const phase of ["joined", "connect"] as const) {
    for (const [what, { message, code, close }] of Object.entries(bad)) {
      test(`${what}, ${phase === "joined" ? "joined" : "not yet joined"}`, async () => {
        const network = freshNetwork();
        const [good, other, rude] = [
          await TestPeer.joined(network),
          await TestPeer.joined(network),
          await TestPeer[phase](network),
        ];
        await sleepRendezvous(network);
        rude.ear.socket.send(message);
        expect(await rude.expect("error")).toMatchObject({ request: 0, code });
        expect(await rude.ear.closed()).toEqual({ code: close, reason: code });
        good.send({ kind: "signal", request: 1, to: other.id, sealed: sealed(9) });
        expect(await other.expect("signal")).toMatchObject({ from: good.id });
      });
    }
  }

  test("asking before joining", async () => {
    const peer = await TestPeer.connect(freshNetwork());
    peer.send({ kind: "find", request: 1, id: peer.id });
    expect(await peer.expect("error")).toMatchObject({ request: 0, code: "edge/not-member" });
    expect(await peer.ear.closed()).toMatchObject({ code: 1008 });
  });

  test("a flood is cut off", async () => {
    const peer = await TestPeer.joined(freshNetwork());
    const message = { kind: "addresses", addresses: [] } as const;
    for (let i = 0; i < RENDEZVOUS_MESSAGES_BURST * 2; i++) peer.send(message);
    expect(await peer.expect("error")).toMatchObject({ request: 0, code: "edge/rate-limited" });
    expect(await peer.ear.closed()).toEqual({ code: 1008, reason: "edge/rate-limited" });
  });
});

describe("the door", () => {
  const cases: Record<string, { path: string; status: number; code: string; upgrade?: boolean }> = {
    "a bad network name": { path: "/v1/net/UPPER/join", status: 400, code: "network/invalid-name" },
    "a network name that is too long": {
      path: `/v1/net/${"a".repeat(65)}/join`,
      status: 400,
      code: "network/invalid-name",
    },
    "a join that is no WebSocket": {
      path: "/v1/net/main/join",
      status: 426,
      code: "usage/invalid",
      upgrade: false,
    },
    "a bad channel": { path: "/v1/relay/UPPER", status: 404, code: "edge/ticket-invalid" },
    "a channel without a ticket": {
      path: `/v1/relay/${channelIdFrom(new Uint8Array(16))}`,
      status: 403,
      code: "edge/ticket-invalid",
    },
    "an unknown path": { path: "/v2/nothing", status: 404, code: "usage/invalid", upgrade: false },
  };
  for (const [what, { path, status, code, upgrade = true }] of Object.entries(cases)) {
    test(`${what} is answered with ${status} ${code}`, async () => {
      const response = upgrade ? await request(path) : await exports.default.fetch(`${ORIGIN}${path}`);
      expect(response.status).toBe(status);
      expect(response.headers.get("access-control-allow-origin")).toBe("*");
      expect(await response.json()).toMatchObject({ code, message: expect.any(String) });
    });
  }

  test("one prefix may join by the hundred, and then has to wait", async () => {
    const network = freshNetwork();
    const from = async (address: string): Promise<number> => {
      const response = await request(`/v1/net/${network}/join`, { "cf-connecting-ip": address });
      response.webSocket?.accept();
      response.webSocket?.close(1000);
      return response.status;
    };
    for (let i = 0; i < 300; i++) expect(await from(`203.0.113.${i % 250}`)).toBe(101);
    // Minutes begin by the clock: within two limits' worth of requests one of them must be full.
    let status = 101;
    for (let i = 0; i < 640 && status === 101; i++) status = await from(`203.0.113.${i % 250}`);
    expect(status).toBe(429);
    expect(await from("198.51.100.1")).toBe(101);
  });
});
