/** What PeerServer gets wrong, done right: messages that wait, ids of the silent, junk. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { shardOf } from "../../edge/peerjs-options.ts";
import { MESSAGES_BURST } from "../../edge/peerjs-peers.ts";
import { FRAME_LENGTH_MAX } from "../../edge/peerjs-protocol.ts";
import { PREFIX_QUEUED_BURST } from "../../edge/queue-pace.ts";
import {
  age,
  expireFor,
  freshId,
  PeerjsClient,
  roomOf,
  SHARDS,
  silence,
  sleepRoom,
} from "./peerjs-client.ts";
import { request } from "./harness.ts";

const ALIVE_MS = 90_000;
const EXPIRE_MS = 5_000;

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

  test("clients of one address prefix share what may wait, over sleeps and whoever comes for it; others have their own", async () => {
    const from = (address: string): Promise<PeerjsClient> =>
      PeerjsClient.opened({ headers: { "cf-connecting-ip": address } });
    const dst = freshId();
    const stuff = async (sender: PeerjsClient, count: number): Promise<void> => {
      for (let n = 0; n < count; n++) sender.send({ type: "CANDIDATE", dst, payload: n });
      await sender.expectNothing();
    };
    await stuff(await from("10.79.0.1"), PREFIX_QUEUED_BURST / 2);
    await stuff(await from("10.79.0.2"), PREFIX_QUEUED_BURST / 2 - 1);
    // An own peer comes for them all, and the room sleeps.
    const own = await PeerjsClient.opened({ id: dst });
    await own.ear.next();
    await own.close();
    await sleepRoom(dst);
    const third = await from("10.79.0.3");
    third.send(offer(dst, 1));
    await third.expectNothing();
    third.send(offer(dst, 2));
    await third.expect({ type: "EXPIRE", src: dst, dst: third.id });
    const other = await from("10.79.1.1");
    other.send(offer(dst, 1));
    await other.expectNothing();
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

  test("who sends a thousand small messages at once is cut and kept out; an honest burst is not", async () => {
    const headers = { "cf-connecting-ip": "10.78.0.9" };
    const [callee, caller] = [await PeerjsClient.opened(), await PeerjsClient.opened({ headers })];
    for (let n = 0; n < MESSAGES_BURST; n++) caller.send({ type: "CANDIDATE", dst: callee.id, payload: n });
    for (let n = 0; n < MESSAGES_BURST; n++)
      await callee.expect({ type: "CANDIDATE", src: caller.id, dst: callee.id, payload: n });
    for (let n = 0; n < 4 * MESSAGES_BURST; n++)
      caller.send({ type: "CANDIDATE", dst: callee.id, payload: n });
    expect(await caller.ear.closed()).toEqual({ code: 1008, reason: "edge/rate-limited" });
    expect((await request("/peerjs/peerjs?key=peerjs&token=t&id=again", headers)).status).toBe(429);
  });

  test("a victim is sent no more than it may be owed, and the rest is told to the senders", async () => {
    const [victim, rude] = [await PeerjsClient.opened(), await PeerjsClient.opened()];
    const payload = "x".repeat(200_000);
    for (let n = 0; n < 60; n++) rude.send({ type: "OFFER", dst: victim.id, payload });
    await rude.expect({ type: "EXPIRE", src: victim.id, dst: rude.id });
  });
});
