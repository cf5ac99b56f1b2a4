/** PeerServer's protocol: every answer as its stock client expects it, and what PeerServer gets wrong done right. */
import { exports } from "cloudflare:workers";
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { shardOf } from "../../edge/peerjs-options.ts";
import { FRAME_LENGTH_MAX } from "../../edge/peerjs-protocol.ts";
import { ORIGIN, request } from "./harness.ts";
import {
  age,
  expireFor,
  freshId,
  PeerjsClient,
  roomOf,
  type ClientOptions,
  SHARDS,
  silence,
  sleepRoom,
} from "./peerjs-client.ts";

const ALIVE_MS = 90_000;
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
    for (let i = 0; i < 60; i++) clients.push(await PeerjsClient.opened({ key: "small", id: inOneRoom() }));
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

describe("absent peers", () => {
  const offer = (dst: string, payload: unknown): unknown => ({ type: "OFFER", dst, payload });

  test("get what was sent to them, in order, right after OPEN, over an eviction and after the sender left", async () => {
    const [sender, id] = [await PeerjsClient.opened(), freshId()];
    for (const [n, type] of ["OFFER", "CANDIDATE", "ANSWER", "LEAVE", "EXPIRE", "CANDIDATE"].entries())
      sender.send({ type, dst: id, payload: n });
    await sender.expectNothing();
    await sender.close();
    await sleepRoom(id);
    const late = await PeerjsClient.opened({ id });
    for (const [n, type] of [
      [0, "OFFER"],
      [1, "CANDIDATE"],
      [2, "ANSWER"],
      [5, "CANDIDATE"],
    ] as const)
      await late.expect({ type, src: sender.id, dst: id, payload: n });
    await late.expectNothing();
  });

  test("who never come cost the sender one EXPIRE, however many candidates waited", async () => {
    const [sender, id] = [await PeerjsClient.opened(), freshId()];
    sender.send(offer(id, 1));
    for (let n = 0; n < 5; n++) sender.send({ type: "CANDIDATE", dst: id, payload: n });
    await sender.expectNothing();
    await sleepRoom(id);
    await expireFor(id, EXPIRE_MS);
    await sender.expect({ type: "EXPIRE", src: id, dst: sender.id });
    await sender.expectNothing();
    const late = await PeerjsClient.opened({ id });
    await late.expectNothing();
  });

  test("each message has its own end: the older expires, the younger is delivered", async () => {
    const [sender, id] = [await PeerjsClient.opened(), freshId()];
    sender.send(offer(id, "old"));
    await sender.expectNothing();
    await age(id, EXPIRE_MS - 1_000);
    sender.send(offer(id, "young"));
    await sender.expectNothing();
    await expireFor(id, 1_000);
    await sender.expect({ type: "EXPIRE", src: id, dst: sender.id });
    await sender.expectNothing();
    const late = await PeerjsClient.opened({ id });
    await late.expect({ type: "OFFER", src: sender.id, dst: id, payload: "young" });
  });

  test("each offer has an EXPIRE of its own", async () => {
    const [sender, id] = [await PeerjsClient.opened(), freshId()];
    sender.send(offer(id, 1));
    sender.send(offer(id, 2));
    await sender.expectNothing();
    await expireFor(id, EXPIRE_MS);
    for (let i = 0; i < 2; i++) await sender.expect({ type: "EXPIRE", src: id, dst: sender.id });
    await sender.expectNothing();
  });

  test("what has expired is not delivered, even before the alarm has rung", async () => {
    const [sender, id] = [await PeerjsClient.opened(), freshId()];
    sender.send(offer(id, 1));
    await sender.expectNothing();
    await age(id, EXPIRE_MS);
    const late = await PeerjsClient.opened({ id });
    await late.expectNothing();
    await sender.expect({ type: "EXPIRE", src: id, dst: sender.id });
  });

  test("the alarm is set for the first to expire, and again for what is left", async () => {
    const [sender, id] = [await PeerjsClient.opened(), freshId()];
    const alarmMs = (): Promise<number> =>
      runInDurableObject(roomOf(id), async (_, { storage }) => (await storage.getAlarm()) ?? Infinity);
    sender.send(offer(id, 1));
    await sender.expectNothing();
    expect((await alarmMs()) - Date.now()).toBeLessThanOrEqual(EXPIRE_MS + 500);
    await age(id, EXPIRE_MS);
    sender.send(offer(id, 2));
    await sender.expectNothing();
    await sleepRoom(id);
    expect(await runDurableObjectAlarm(roomOf(id))).toBe(true);
    await sender.expect({ type: "EXPIRE", src: id, dst: sender.id });
    expect((await alarmMs()) - Date.now()).toBeLessThanOrEqual(EXPIRE_MS + 500);
    await PeerjsClient.opened({ id });
  });

  test("a flood for one that never comes is bounded, told at once, and hurts no other sender", async () => {
    const [rude, honest, id] = [await PeerjsClient.opened(), await PeerjsClient.opened(), freshId()];
    for (let n = 0; n < 400; n++) rude.send(offer(id, n));
    for (let n = 256; n < 400; n++) await rude.expect({ type: "EXPIRE", src: id, dst: rude.id });
    honest.send(offer(id, "honest"));
    await honest.expectNothing();
    await sleepRoom(id);
    honest.send(offer(id, "still"));
    rude.send(offer(id, "no more"));
    await rude.expect({ type: "EXPIRE", src: id, dst: rude.id });
    await honest.expectNothing();
    const late = await PeerjsClient.opened({ id });
    for (let n = 0; n < 256; n++) await late.expect({ type: "OFFER", src: rude.id, dst: id, payload: n });
    for (const payload of ["honest", "still"])
      await late.expect({ type: "OFFER", src: honest.id, dst: id, payload });
    await late.expectNothing();
  });

  test("so are bytes", async () => {
    const [rude, id] = [await PeerjsClient.opened(), freshId()];
    const payload = "x".repeat(200_000);
    for (let n = 0; n < 8; n++) rude.send(offer(id, payload));
    for (let n = 5; n < 8; n++) await rude.expect({ type: "EXPIRE", src: id, dst: rude.id });
    await rude.expectNothing();
  });
});

describe("signs of life", () => {
  test("a silent socket loses its id to whoever asks for it", async () => {
    const silent = await PeerjsClient.opened();
    await silence(silent.id, ALIVE_MS);
    await PeerjsClient.opened({ id: silent.id, token: "other" });
    expect((await silent.ear.closed()).code).toBe(1005);
  });

  test("a message to one that has gone silent waits for its return", async () => {
    const [silent, sender] = [await PeerjsClient.opened(), await PeerjsClient.opened()];
    await silence(silent.id, ALIVE_MS);
    sender.send({ type: "OFFER", dst: silent.id, payload: 1 });
    await sender.expectNothing();
    const back = await PeerjsClient.opened({ id: silent.id });
    await back.expect({ type: "OFFER", src: sender.id, dst: back.id, payload: 1 });
  });

  const signs: Record<string, unknown> = {
    "a heartbeat": { type: "HEARTBEAT" },
    signalling: { type: "CANDIDATE", dst: "somebody", payload: 1 },
    "an unknown type": { type: "HELLO" },
    junk: 42,
  };
  for (const [what, message] of Object.entries(signs)) {
    test(`${what} keeps an id`, async () => {
      const client = await PeerjsClient.opened();
      await silence(client.id, ALIVE_MS);
      client.send(message);
      if (what === "a heartbeat") await client.expect({ type: "HEARTBEAT" });
      else await client.expectNothing();
      const other = await PeerjsClient.connect({ id: client.id, token: "other" });
      await other.expect({ type: "ID-TAKEN", payload: { msg: "ID is taken" } });
    });
  }

  test("the alarm closes the silent, keeps the others, and comes again while there are any", async () => {
    const silent = await PeerjsClient.opened();
    const sameRoom = (): string => {
      for (;;) {
        const id = freshId();
        if (shardOf(id, SHARDS) === shardOf(silent.id, SHARDS)) return id;
      }
    };
    const alive = await PeerjsClient.opened({ id: sameRoom() });
    await silence(silent.id, ALIVE_MS);
    expect(await runDurableObjectAlarm(silent.room)).toBe(true);
    expect((await silent.ear.closed()).code).toBe(1005);
    await alive.expectNothing();
    const leftMs = await runInDurableObject(
      silent.room,
      async (_, { storage }) => (await storage.getAlarm()) ?? 0,
    );
    expect(leftMs - Date.now()).toBeGreaterThan(0);
    expect(leftMs - Date.now()).toBeLessThanOrEqual(ALIVE_MS);
    const absent = sameRoom();
    alive.send({ type: "OFFER", dst: absent, payload: 1 });
    await alive.expectNothing();
    await expireFor(absent, EXPIRE_MS);
    await alive.expect({ type: "EXPIRE", src: absent, dst: alive.id });
    expect(await runInDurableObject(silent.room, (_, { storage }) => storage.getAlarm())).not.toBeNull();
  });
});

describe("junk hurts nobody, not even its sender", () => {
  const junk: Record<string, string | Uint8Array> = {
    "no JSON": "hello",
    nothing: "",
    null: "null",
    "a number": "42",
    "a text": '"x"',
    "an array": "[]",
    "an unknown type": '{"type":"SHOUT","dst":"a"}',
    "a type that is no text": '{"type":{"type":"OFFER"},"dst":"a"}',
    "no destination": '{"type":"OFFER","payload":1}',
    "a destination that is no text": '{"type":"OFFER","dst":{"a":1}}',
    "a destination without end": `{"type":"OFFER","dst":"${"a".repeat(600)}"}`,
    "a lone surrogate": '{"type":"OFFER","dst":"\\ud800"}',
    "deep nesting": `${"[".repeat(100_000)}`,
    "deep nesting that is JSON": `{"type":"OFFER","dst":"a","payload":${"[".repeat(50_000)}${"]".repeat(50_000)}}`,
    "bytes that are no UTF-8": new Uint8Array([0xff, 0xfe, 0x00]),
    "a prototype": '{"type":"OFFER","dst":"a","__proto__":{"type":"LEAVE"},"constructor":null}',
    "an end of a world": '{"type":"LEAVE","dst":"nobody"}',
  };
  for (const [what, frame] of Object.entries(junk)) {
    test(what, async () => {
      const [rude, other] = [await PeerjsClient.opened(), await PeerjsClient.opened()];
      await sleepRoom(rude.id);
      rude.ear.socket.send(frame);
      rude.send({ type: "OFFER", dst: other.id, payload: 1 });
      await other.expect({ type: "OFFER", src: rude.id, dst: other.id, payload: 1 });
      other.send({ type: "ANSWER", dst: rude.id, payload: 2 });
      await rude.expect({ type: "ANSWER", src: other.id, dst: rude.id, payload: 2 });
    });
  }

  test("a message that is too large costs its sender the socket, and frees the id", async () => {
    const [rude, other] = [await PeerjsClient.opened(), await PeerjsClient.opened()];
    rude.send({ type: "OFFER", dst: other.id, payload: "x".repeat(FRAME_LENGTH_MAX) });
    await rude.expect({ type: "ERROR", payload: { msg: expect.any(String), code: "wire/too-large" } });
    expect(await rude.ear.closed()).toEqual({ code: 1009, reason: "wire/too-large" });
    await other.expectNothing();
    await PeerjsClient.opened({ id: rude.id, token: "other" });
  });

  test("a victim is sent no more than it may be owed, and the rest is told to the senders", async () => {
    const [victim, rude] = [await PeerjsClient.opened(), await PeerjsClient.opened()];
    const payload = "x".repeat(200_000);
    for (let n = 0; n < 60; n++) rude.send({ type: "OFFER", dst: victim.id, payload });
    await rude.expect({ type: "EXPIRE", src: victim.id, dst: rude.id });
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
