/** PeerServer's protocol: every answer as its stock client expects it. */
import { exports } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { shardOf } from "../../edge/peerjs-options.ts";
import { ORIGIN, request } from "./harness.ts";
import {
  type ClientOptions,
  expireFor,
  freshId,
  PeerjsClient,
  SHARDS,
  sleepRoom,
  SOCKETS_MAX,
} from "./peerjs-client.ts";

const EXPIRE_MS = 5_000;

const get = (path: string, init?: RequestInit): Promise<Response> =>
  exports.default.fetch(`${ORIGIN}${path}`, init);

describe("HTTP", () => {
  test("the root says what it is, with and without the slash", async () => {
    for (const path of ["/peerjs", "/peerjs/"]) {
      const response = await get(path);
      expect([response.status, await response.json()]).toEqual([
        200,
        {
          name: "PeerJS Server",
          description: expect.any(String),
          website: "https://peerjs.com/",
        },
      ]);
    }
  });

  test("an id is a bare UUID, another one each time, and kept by nobody", async () => {
    const ids = new Set<string>();
    for (const key of ["peerjs", "peerjs", "whatever"]) {
      const response = await get(`/peerjs/${key}/id?ts=1764000000000.5&version=1.5.5`);
      expect([response.status, response.headers.get("cache-control")]).toEqual([200, "no-store"]);
      expect(response.headers.get("content-type")).toMatch(/^text\/html/);
      ids.add(await response.text());
    }
    expect(ids.size).toBe(3);
    for (const id of ids)
      expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  });

  test("CORS names the caller on every answer, and nobody without an origin", async () => {
    const headers = { origin: "https://app.example" };
    for (const [path, status] of [
      ["/peerjs/peerjs/id", 200],
      ["/peerjs/peerjs/peers", 401],
      ["/peerjs/nothing/here/at/all", 404],
    ] as const) {
      const response = await get(path, { headers });
      expect([path, response.status]).toEqual([path, status]);
      expect(response.headers.get("access-control-allow-origin")).toBe("https://app.example");
      expect(response.headers.get("vary")?.toLowerCase()).toContain("origin");
      expect((await get(path)).headers.get("access-control-allow-origin")).toBeNull();
    }
  });

  test("a preflight is answered with what was asked for", async () => {
    const headers = { origin: "https://app.example", "access-control-request-headers": "x-one,x-two" };
    const response = await get("/peerjs/peerjs/id", { method: "OPTIONS", headers });
    expect([
      response.status,
      response.headers.get("access-control-allow-methods"),
      response.headers.get("access-control-allow-headers"),
      response.headers.get("access-control-allow-origin"),
    ]).toEqual([204, "GET,HEAD,PUT,PATCH,POST,DELETE", "x-one,x-two", "https://app.example"]);
  });

  test("peers are listed where it is allowed, key by key, over all objects", async () => {
    const clients: PeerjsClient[] = [];
    for (let i = 0; i < 12; i++) clients.push(await PeerjsClient.opened({ key: "listed" }));
    await PeerjsClient.opened({ key: "peerjs" });
    expect(new Set(clients.map(({ id }) => shardOf(id, SHARDS))).size).toBeGreaterThan(1);
    const gone = clients.pop();
    await gone?.close();
    const listed = (await (await get("/peerjs/listed/peers")).json()) as string[];
    expect(listed.toSorted()).toEqual(clients.map(({ id }) => id).toSorted());
    for (const key of ["peerjs", "hidden", "elsewhere", "nobody"]) {
      const response = await get(`/peerjs/${key}/peers`);
      expect([key, response.status, await response.text()]).toEqual([key, 401, "Unauthorized"]);
    }
  });

  test("a WebSocket at another path is refused before it is one", async () => {
    for (const path of ["/peerjs/other?key=peerjs&id=a&token=b", "/peerjs?key=peerjs&id=a&token=b"])
      expect((await request(path)).status).toBe(400);
  });
});

describe("opening", () => {
  const refused: Record<string, [ClientOptions, string]> = {
    "no id": [{ id: "" }, "No id, token, or key supplied to websocket server"],
    "no token": [{ token: "" }, "No id, token, or key supplied to websocket server"],
    "no key": [{ key: "" }, "No id, token, or key supplied to websocket server"],
    "another key": [{ key: "wrong" }, "Invalid key provided"],
    "an id without end": [{ id: "a".repeat(513) }, "An id or a token has at most 512 characters"],
  };
  for (const [what, [options, msg]] of Object.entries(refused)) {
    test(`${what} is told in a frame, and the socket closed without a code`, async () => {
      const client = await PeerjsClient.connect(options);
      await client.expect({ type: "ERROR", payload: { msg, code: expect.stringMatching(/^peerjs\//) } });
      expect((await client.ear.closed()).code).toBe(1005);
    });
  }

  for (const id of ["плохо 很好 🙂", "a".repeat(400), "__proto__", "constructor", "a/b?c&d=e"]) {
    test(`${id.slice(0, 20)} is an id like any other`, async () => {
      const [strange, other] = [await PeerjsClient.opened({ id }), await PeerjsClient.opened()];
      await sleepRoom(id);
      other.send({ type: "OFFER", dst: id, payload: 1 });
      await strange.expect({ type: "OFFER", src: other.id, dst: id, payload: 1 });
      strange.send({ type: "ANSWER", dst: other.id, payload: 2 });
      await other.expect({ type: "ANSWER", src: id, dst: other.id, payload: 2 });
      const second = await PeerjsClient.connect({ id, token: "another" });
      await second.expect({ type: "ID-TAKEN", payload: { msg: "ID is taken" } });
      await strange.close();
    });
  }

  test("an id that is connected is taken for another token, also after a sleep", async () => {
    const first = await PeerjsClient.opened();
    await sleepRoom(first.id);
    const second = await PeerjsClient.connect({ id: first.id, token: "other" });
    await second.expect({ type: "ID-TAKEN", payload: { msg: "ID is taken" } });
    expect((await second.ear.closed()).code).toBe(1005);
    await first.expectNothing();
  });

  test("ids differ by case, and by key", async () => {
    const id = freshId();
    await PeerjsClient.opened({ id });
    await PeerjsClient.opened({ id: id.toUpperCase(), token: "other" });
    const elsewhere = await PeerjsClient.opened({ id, token: "other", key: "hidden" });
    const stranger = await PeerjsClient.opened({ key: "hidden" });
    stranger.send({ type: "OFFER", dst: id, payload: 1 });
    await elsewhere.expect({ type: "OFFER", src: stranger.id, dst: id, payload: 1 });
  });

  test("a closed socket frees its id for anybody at once", async () => {
    const first = await PeerjsClient.opened();
    await sleepRoom(first.id);
    await first.close();
    await PeerjsClient.opened({ id: first.id, token: "other" });
  });

  test("the same token takes over, is answered OPEN, and the old socket is retired", async () => {
    const old = await PeerjsClient.opened();
    await sleepRoom(old.id);
    const young = await PeerjsClient.opened({ id: old.id });
    expect(await old.ear.closed()).toEqual({ code: 4001, reason: "edge/replaced" });
    const other = await PeerjsClient.opened();
    other.send({ type: "OFFER", dst: young.id, payload: 1 });
    await young.expect({ type: "OFFER", src: other.id, dst: young.id, payload: 1 });
  });

  test("at the limit newcomers are told so, and a takeover is none", async () => {
    const clients: PeerjsClient[] = [];
    const inOneRoom = (): string => {
      for (;;) {
        const id = freshId();
        if (shardOf(id, SHARDS) === 0) return id;
      }
    };
    for (let i = 0; i < SOCKETS_MAX; i++)
      clients.push(await PeerjsClient.opened({ key: "small", id: inOneRoom() }));
    const late = await PeerjsClient.connect({ key: "small", id: inOneRoom() });
    const msg = "Server has reached its concurrent user limit";
    await late.expect({ type: "ERROR", payload: { msg, code: "edge/over-capacity" } });
    await PeerjsClient.opened({ key: "small", id: clients[0]?.id ?? "" });
    await clients[1]?.close();
    await PeerjsClient.opened({ key: "small", id: inOneRoom() });
  });
});

describe("messages", () => {
  test("are passed on with the sender's own id, and nothing but type, src, dst and payload", async () => {
    const [a, b] = [await PeerjsClient.opened(), await PeerjsClient.opened()];
    const payload = {
      sdp: { type: "offer", sdp: "v=0\r\n" },
      connectionId: "dc_1",
      metadata: [null, { ä: "🙂" }],
    };
    for (const type of ["OFFER", "ANSWER", "CANDIDATE", "LEAVE", "EXPIRE"]) {
      await sleepRoom(a.id);
      await sleepRoom(b.id);
      a.send({ type, src: "forged", dst: b.id, payload, more: 1 });
      await b.expect({ type, src: a.id, dst: b.id, payload });
    }
    b.send({ type: "LEAVE", dst: a.id });
    await a.expect({ type: "LEAVE", src: b.id, dst: a.id });
  });

  test("come in the order they were sent, over all objects", async () => {
    const receivers = await Promise.all([1, 2, 3, 4, 5].map(() => PeerjsClient.opened()));
    const sender = await PeerjsClient.opened();
    for (let n = 0; n < 60; n++)
      for (const { id } of receivers) sender.send({ type: "CANDIDATE", dst: id, payload: n });
    for (const receiver of receivers) {
      for (let n = 0; n < 60; n++)
        await receiver.expect({ type: "CANDIDATE", src: sender.id, dst: receiver.id, payload: n });
    }
  });

  test("to oneself return", async () => {
    const client = await PeerjsClient.opened();
    await client.expectNothing();
  });

  test("a heartbeat is echoed by the runtime, also while the room sleeps", async () => {
    const client = await PeerjsClient.opened();
    await sleepRoom(client.id);
    client.send({ type: "HEARTBEAT" });
    await client.expect({ type: "HEARTBEAT" }); // the room itself never says this
  });

  test("JSON in a binary frame is read like text", async () => {
    const [a, b] = [await PeerjsClient.opened(), await PeerjsClient.opened()];
    a.ear.socket.send(new TextEncoder().encode(JSON.stringify({ type: "OFFER", dst: b.id, payload: "ö" })));
    await b.expect({ type: "OFFER", src: a.id, dst: b.id, payload: "ö" });
  });

  test("a closing socket tells nobody", async () => {
    const [a, b] = [await PeerjsClient.opened(), await PeerjsClient.opened()];
    a.send({ type: "OFFER", dst: b.id, payload: 1 });
    await b.expect({ type: "OFFER", src: a.id, dst: b.id, payload: 1 });
    await a.close();
    await b.expectNothing();
  });

  test("LEAVE without a destination gives the id up; the socket stays, and speaks for nobody", async () => {
    const [ghost, other] = [await PeerjsClient.opened(), await PeerjsClient.opened()];
    ghost.send({ type: "LEAVE" });
    ghost.send({ type: "HEARTBEAT" });
    await ghost.expect({ type: "HEARTBEAT" });
    const owner = await PeerjsClient.opened({ id: ghost.id, token: "other" });
    await sleepRoom(ghost.id);
    ghost.send({ type: "OFFER", dst: other.id, payload: "ghost" });
    ghost.send({ type: "LEAVE" });
    other.send({ type: "OFFER", dst: owner.id, payload: 1 });
    await owner.expect({ type: "OFFER", src: other.id, dst: owner.id, payload: 1 });
    await other.expectNothing();
    await ghost.close();
    await owner.expectNothing();
  });
});

describe("the door", () => {
  test("300 ids and 200 sockets of one address at once pass, and a storm is told in a frame", async () => {
    const headers = { "cf-connecting-ip": "203.0.113.9" };
    const ids = await Promise.all(
      Array.from({ length: 300 }, async () => (await get("/peerjs/peerjs/id", { headers })).text()),
    );
    expect(new Set(ids).size).toBe(300);
    const crowd = await Promise.all(
      ids.slice(0, 200).map((id) => PeerjsClient.opened({ id, key: "hidden", headers })),
    );
    await Promise.all(crowd.map((client) => client.close()));
    // Minutes begin by the clock: within two limits' worth of requests one of them must be full.
    let refusal: unknown;
    for (let i = 0; i < 640 && refusal === undefined; i++) {
      const client = await PeerjsClient.connect({ headers, key: "hidden" });
      const said = JSON.parse((await client.ear.next()) as string) as { type: string };
      if (said.type !== "OPEN") refusal = said;
      client.ear.socket.close(1000);
    }
    expect(refusal).toEqual({
      type: "ERROR",
      payload: { msg: expect.any(String), code: "edge/rate-limited" },
    });
  });
});

describe("what is counted", () => {
  const metrics = async (): Promise<Map<string, number>> => {
    const text = await (await get("/metrics")).text();
    const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      samples.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]),
    );
  };

  test("opens, messages, waiting, expiry and junk", async () => {
    const before = await metrics();
    const [a, b, absent] = [await PeerjsClient.opened(), await PeerjsClient.opened(), freshId()];
    a.send({ type: "OFFER", dst: b.id, payload: 1 });
    await b.expect({ type: "OFFER", src: a.id, dst: b.id, payload: 1 });
    a.send({ type: "OFFER", dst: absent, payload: 1 });
    a.send(42);
    await a.expectNothing();
    await expireFor(absent, EXPIRE_MS);
    await a.expect({ type: "EXPIRE", src: absent, dst: a.id });
    const grown = [
      "peerloom_peerjs_opens_total",
      "peerloom_peerjs_messages_total",
      "peerloom_peerjs_queued_total",
      "peerloom_peerjs_expired_total",
      'peerloom_errors_total{code="wire/malformed"}',
    ];
    // Answers are kept for a second.
    const deadline = Date.now() + 5_000;
    let missing = grown;
    while (missing.length > 0 && Date.now() < deadline) {
      const after = await metrics();
      missing = grown.filter((name) => (after.get(name) ?? 0) <= (before.get(name) ?? 0));
    }
    expect(missing).toEqual([]);
    expect((await metrics()).get('peerloom_open_sockets{object="peerjs"}')).toBeGreaterThan(1);
  });
});
