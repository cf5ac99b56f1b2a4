/** A door and strangers who do what they like with it, in virtual time: what each of its bounds does. */
import { expect, onTestFinished, test } from "vitest";
import { pack } from "../../../peer/peerjs/binarypack-writer.ts";
import type { PeerJsConnection } from "../../../peer/peerjs/contract.ts";
import { PeerJsDoor } from "../../../peer/peerjs/door.ts";
import { CHUNK_WAIT_MS, NEGOTIATION_TIMEOUT_MS } from "../../../peer/peerjs/limits.ts";
import type { PeerJsDoorOptions } from "../../../peer/peerjs/options.ts";
import { concatBytes } from "../../../shared/bytes.ts";
import { codeOf } from "../../integration/peers.ts";
import { FakeHost, type FakeRtc } from "./fake-server.ts";

interface World {
  readonly host: FakeHost;
  readonly door: PeerJsDoor;
}

async function openDoor(options: PeerJsDoorOptions = {}): Promise<World> {
  const host = new FakeHost();
  const opening = PeerJsDoor.openOn(host.runtime(), { id: "me", host: "peers.example", ...options });
  await host.clock.advance(0);
  host.socket.say({ type: "OPEN" });
  const door = await opening;
  onTestFinished(() => door.close());
  return { host, door };
}

const SDP = { type: "offer", sdp: "v=0" };

function offer(src: string, connectionId: string, more: object = {}): object {
  const payload = { sdp: SDP, type: "data", connectionId, serialization: "binary", reliable: true, ...more };
  return { type: "OFFER", src, payload };
}

/** A stranger's connection that is open. */
async function arrive(
  { host, door }: World,
  connectionId = "dc_1",
  more: object = {},
): Promise<{ readonly rtc: FakeRtc; readonly connection: PeerJsConnection }> {
  host.socket.say(offer("page", connectionId, more));
  await host.clock.advance(0);
  const rtc = host.rtc.at(-1) as FakeRtc;
  rtc.onOpen();
  for await (const connection of door.connections()) return { rtc, connection };
  throw new Error("the door was closed");
}

const packed = (value: unknown): Uint8Array => concatBytes(...(pack(value, 2 ** 24).parts as Uint8Array[]));

test("the server's address is made as the stock client makes it", async () => {
  const urls = async (options: PeerJsDoorOptions): Promise<string> => {
    const { host } = await openDoor(options);
    const { url } = host.socket;
    return `${url.origin}${url.pathname} ${url.searchParams.get("key")}`;
  };
  expect(await urls({})).toBe("wss://peers.example/peerjs peerjs");
  expect(await urls({ port: 9_000, path: "app/", secure: false, key: "k" })).toBe(
    "ws://peers.example:9000/app/peerjs k",
  );
  expect(await urls({ host: "localhost", port: 9_000 })).toBe("ws://localhost:9000/peerjs peerjs");
});

test.each([
  [{ id: "no/id" }, "peerjs/id-invalid"],
  [{ id: "" }, "peerjs/id-invalid"],
  [{ host: "https://peers.example" }, "usage/invalid"],
  [{ host: "peers.example/path" }, "usage/invalid"],
  [{ valueBytesMax: 0 }, "usage/invalid"],
  [{ connectionsMax: 1.5 }, "usage/invalid"],
])("options %j are %s", async (options, code) => {
  const runtime = new FakeHost().runtime();
  expect(await codeOf(PeerJsDoor.openOn(runtime, { host: "peers.example", ...options }))).toBe(code);
  expect(await codeOf(PeerJsDoor.openOn(runtime, {}))).toBe("usage/invalid");
});

test("an offer is answered with its own names, and candidates that came before it count", async () => {
  const { host } = await openDoor();
  const candidate = { candidate: "candidate:1", sdpMid: "0", sdpMLineIndex: 0 };
  host.socket.say({
    type: "CANDIDATE",
    src: "page",
    payload: { candidate, type: "data", connectionId: "dc_1" },
  });
  host.socket.say({
    type: "CANDIDATE",
    src: "other",
    payload: { candidate, type: "data", connectionId: "dc_1" },
  });
  host.socket.say(offer("page", "dc_1", { label: "a label", reliable: false }));
  await host.clock.advance(0);
  const [rtc] = host.rtc;
  expect(rtc?.options).toMatchObject({ role: "answerer", announced: { label: "a label", ordered: false } });
  expect(rtc?.accepted.map((each) => (each as { kind: string }).kind)).toEqual(["offer", "candidate"]);
  rtc?.options.onSignal({ kind: "answer", sdp: "ours" });
  rtc?.options.onSignal({ kind: "candidate", candidate: "a=candidate:2", mid: "0" });
  expect(host.socket.signals).toEqual([
    {
      type: "ANSWER",
      dst: "page",
      payload: { sdp: { type: "answer", sdp: "ours" }, type: "data", connectionId: "dc_1" },
    },
    {
      type: "CANDIDATE",
      dst: "page",
      payload: {
        candidate: { candidate: "candidate:2", sdpMid: "0", sdpMLineIndex: 0 },
        type: "data",
        connectionId: "dc_1",
      },
    },
  ]);
});

test("media calls, unknown serializations and offers that are none make nothing", async () => {
  const { host } = await openDoor();
  host.socket.say(offer("page", "mc_1", { type: "media" }));
  host.socket.say(offer("page", "dc_1", { serialization: "msgpack" }));
  host.socket.say(offer("page", "dc_2", { sdp: { type: "offer" } }));
  host.socket.say(offer("page", "dc_3", { label: 7 }));
  host.socket.say(offer("page", "x".repeat(600)));
  await host.clock.advance(0);
  expect(host.rtc.length).toBe(0);
});

test("strangers' offers: 16 of one id, 64 of all; who does not open gives its place back", async () => {
  const { host } = await openDoor();
  for (let n = 0; n < 30; n++) host.socket.say(offer("greedy", `dc_${n}`));
  await host.clock.advance(0);
  expect(host.rtc.length).toBe(16);
  for (let n = 0; n < 100; n++) {
    host.socket.say(offer(`page-${n}`, "dc_1"));
    await host.clock.advance(0);
  }
  expect(host.rtc.length).toBe(64);
  await host.clock.advance(NEGOTIATION_TIMEOUT_MS);
  expect(host.rtc.every(({ ended }) => ended === "destroyed")).toBe(true);
  host.socket.say(offer("greedy", "dc_60"));
  await host.clock.advance(0);
  expect(host.rtc.length).toBe(65);
});

test("an offer with the name of a connection that stands ends that one", async () => {
  const world = await openDoor();
  const { connection } = await arrive(world);
  const again = await arrive(world);
  expect([await connection.closed, again.connection.isOpen]).toEqual([undefined, true]);
});

test("connections are bounded; so are those that nobody takes", async () => {
  const bounded = await openDoor({ connectionsMax: 2 });
  await arrive(bounded, "dc_1");
  await arrive(bounded, "dc_2");
  bounded.host.socket.say(offer("page", "dc_3"));
  await bounded.host.clock.advance(0);
  expect(bounded.host.rtc.length).toBe(2);
  expect(await codeOf(bounded.door.connect("page"))).toBe("link/too-many");
  const untaken = await openDoor();
  for (let n = 0; n < 70; n++) {
    untaken.host.socket.say(offer(`page-${n}`, "dc_1"));
    await untaken.host.clock.advance(0);
    untaken.host.rtc.at(-1)?.onOpen();
  }
  expect(untaken.host.rtc.filter(({ ended }) => ended !== "").length).toBe(6);
});

test("the event can take a connection", async () => {
  const { host, door } = await openDoor();
  const taken: string[] = [];
  door.addEventListener("connection", (event) => {
    event.preventDefault();
    taken.push((event as CustomEvent<PeerJsConnection>).detail.label);
  });
  for (let n = 0; n < 70; n++) {
    host.socket.say(offer(`page-${n}`, `dc_${n}`));
    await host.clock.advance(0);
    host.rtc.at(-1)?.onOpen();
  }
  expect(taken.length).toBe(70);
  expect(host.rtc.every(({ ended }) => ended === "")).toBe(true);
});

test.each([
  ["binary", Uint8Array.of(0xc4), "wire/malformed"],
  ["binary", "text", "wire/malformed"],
  ["binary", Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff), "wire/malformed"],
  ["binary", packed({ __peerData: 1, n: 0, total: 2 ** 32 - 1, data: new Uint8Array(1) }), "wire/malformed"],
  ["binary", packed({ __peerData: 1, n: 2, total: 2, data: new Uint8Array(1) }), "wire/malformed"],
  ["json", new TextEncoder().encode("{"), "wire/malformed"],
  ["json", Uint8Array.of(0x22, 0xff, 0x22), "wire/malformed"],
  ["json", new TextEncoder().encode("[".repeat(1_000) + "]".repeat(1_000)), "wire/malformed"],
  ["json", "{}", "wire/malformed"],
])("%s %s ends the connection with %s, after what came before it", async (serialization, message, code) => {
  const { rtc, connection } = await arrive(await openDoor(), "dc_1", { serialization });
  rtc.onMessage(serialization === "json" ? new TextEncoder().encode("1") : Uint8Array.of(1));
  if (typeof message === "string") rtc.onText(message);
  else rtc.onMessage(message);
  const values: unknown[] = [];
  const reading = (async (): Promise<void> => {
    for await (const value of connection) values.push(value);
  })();
  expect(await codeOf(reading)).toBe(code);
  expect(values).toEqual([1]);
  expect(await connection.closed).toMatchObject({ code });
  expect(rtc.ended).toBe("destroyed");
});

test("values longer than allowed, in pieces that say so or not, end the connection", async () => {
  const { rtc, connection } = await arrive(await openDoor({ valueBytesMax: 40_000 }));
  for (let n = 0; n < 3; n++)
    rtc.onMessage(packed({ __peerData: 1, n, total: 4, data: new Uint8Array(16_300) }));
  expect(await connection.closed).toMatchObject({ code: "peerjs/too-large" });
});

test("what is not read is bounded, for a connection and for the door, and given back when it has ended", async () => {
  const world = await openDoor({ valueBytesMax: 100_000 });
  const piece = packed(new Uint8Array(10_000));
  const fill = async (n: number): Promise<{ readonly count: number; readonly code: string | undefined }> => {
    const { rtc, connection } = await arrive(world, `dc_${n}`);
    let count = 0;
    while (connection.isOpen && count < 15) {
      rtc.onMessage(piece);
      count += 1;
    }
    return { count, code: connection.isOpen ? undefined : (await connection.closed)?.code };
  };
  // 200,000 bytes a connection, 400,000 the door.
  expect(await fill(1)).toEqual({ count: 15, code: undefined });
  expect(await fill(2)).toEqual({ count: 15, code: undefined });
  expect(await fill(3)).toEqual({ count: 10, code: "peerjs/unread" });
  expect(await fill(4)).toEqual({ count: 10, code: "peerjs/unread" });
  world.host.rtc[0]?.onClose(undefined);
  expect(await fill(5)).toEqual({ count: 15, code: undefined });
  const { rtc, connection } = await arrive(await openDoor({ valueBytesMax: 100_000 }));
  for (let n = 0; n < 25; n++) rtc.onMessage(piece);
  expect(await connection.closed).toMatchObject({ code: "peerjs/unread" });
});

test("pieces that stop coming end the connection, and not while others come", async () => {
  const { host, door } = await openDoor();
  const { rtc, connection } = await arrive({ host, door });
  const piece = (n: number): Uint8Array =>
    packed({ __peerData: 1, n, total: 3, data: new Uint8Array(16_300) });
  rtc.onMessage(piece(0));
  await host.clock.advance(CHUNK_WAIT_MS - 1_000);
  rtc.onMessage(piece(1));
  await host.clock.advance(CHUNK_WAIT_MS - 1);
  expect(connection.isOpen).toBe(true);
  await host.clock.advance(1);
  expect(await connection.closed).toMatchObject({ code: "link/timeout" });
  expect(host.clock.pendingTimers).toBe(1); // the heartbeat's
});

test("EXPIRE ends what was not answered, LEAVE all", async () => {
  const { host, door } = await openDoor();
  const absent = codeOf(door.connect("absent"));
  const open = door.connect("page");
  await host.clock.advance(0);
  const [, rtc] = host.rtc;
  rtc?.onOpen();
  const connection = await open;
  host.socket.say({ type: "EXPIRE", src: "absent" });
  host.socket.say({ type: "EXPIRE", src: "page" });
  expect(await absent).toBe("peer/not-found");
  expect(connection.isOpen).toBe(true);
  host.socket.say({ type: "LEAVE", src: "page" });
  expect(connection.isOpen).toBe(false);
  expect(await connection.closed).toBeUndefined();
});

test("connect gives up in time, and on request, and when the door is closed", async () => {
  const { host, door } = await openDoor();
  const late = codeOf(door.connect("page"));
  const stop = new AbortController();
  const stopped = codeOf(door.connect("page", { signal: stop.signal }));
  await host.clock.advance(1_000);
  stop.abort();
  expect(await stopped).toBe("aborted");
  await host.clock.advance(NEGOTIATION_TIMEOUT_MS - 1_000);
  expect(await late).toBe("connect/timeout");
  const closing = codeOf(door.connect("page"));
  await host.clock.advance(0);
  await door.close();
  expect(await closing).toBe("link/closed");
  expect(await codeOf(door.connect("page"))).toBe("peer/closed");
  expect(host.clock.pendingTimers).toBe(0);
});

test("send waits for the buffer, and those who do not wait are told", async () => {
  const { rtc, connection } = await arrive(await openDoor());
  rtc.bufferedBytes = 2 ** 21;
  let isSent = false;
  const sent = connection.send("first").then(() => (isSent = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect([rtc.sent.length, isSent]).toEqual([1, false]);
  const others = Array.from({ length: 4_095 }, (_, n) => connection.send(n));
  expect(await codeOf(connection.send("one too many"))).toBe("peerjs/unread");
  rtc.bufferedBytes = 0;
  rtc.onDrain();
  await Promise.all([sent, ...others]);
  expect(rtc.sent.length).toBe(4_096);
  await connection.close();
  expect(await codeOf(connection.send("late"))).toBe("link/closed");
});

test.each([
  ["binary", null, "peerjs/value-invalid"],
  ["binary", undefined, "peerjs/value-invalid"],
  ["binary", [Number.NaN], "peerjs/value-invalid"],
  ["binary", [5e-324], "peerjs/value-invalid"],
  ["binary", 1n, "peerjs/value-invalid"],
  ["binary", () => 1, "peerjs/value-invalid"],
  ["binary", "\ud800", "peerjs/value-invalid"],
  ["binary", new Map(), "peerjs/value-invalid"],
  ["binary", { __peerData: 1 }, "peerjs/value-invalid"],
  ["binary", JSON.parse('{"__proto__":1}'), "peerjs/value-invalid"],
  ["binary", new Uint8Array(100_001), "peerjs/too-large"],
  ["binary", "é".repeat(60_000), "peerjs/too-large"],
  ["json", null, "peerjs/value-invalid"],
  ["json", Number.NaN, "peerjs/value-invalid"],
  ["json", undefined, "peerjs/value-invalid"],
  ["json", 1n, "peerjs/value-invalid"],
  ["json", "x".repeat(16_298), "peerjs/too-large"],
  ["raw", {}, "peerjs/value-invalid"],
  ["raw", new Uint8Array(100_001), "peerjs/too-large"],
])("%s cannot send %o: %s, and the connection lives", async (serialization, value, code) => {
  const world = await openDoor({ valueBytesMax: 100_000 });
  const { rtc, connection } = await arrive(world, "dc_1", { serialization });
  expect(await codeOf(connection.send(value))).toBe(code);
  await connection.send("well");
  expect(rtc.sent.length).toBe(1);
});

test("a value that holds itself is refused", async () => {
  const { connection } = await arrive(await openDoor());
  const circle: unknown[] = [];
  circle.push(circle);
  expect(await codeOf(connection.send(circle))).toBe("peerjs/value-invalid");
});

test("the other side's last word closes, in every serialization that has one", async () => {
  for (const serialization of ["binary", "json"]) {
    const { rtc, connection } = await arrive(await openDoor(), "dc_1", { serialization });
    const word = { __peerData: { type: "close" } };
    rtc.onMessage(serialization === "json" ? new TextEncoder().encode(JSON.stringify(word)) : packed(word));
    expect(await connection.closed).toBeUndefined();
  }
});

test("a label with a handler is a stream, if it is ordered and carries bytes", async () => {
  const { host, door } = await openDoor();
  door.handle("echo/1", (stream) => stream.readable.pipeTo(stream.writable));
  const meet = async (more: object): Promise<FakeRtc> => {
    host.socket.say(offer("page", "dc_1", { label: "echo/1", ...more }));
    await host.clock.advance(0);
    const rtc = host.rtc.at(-1) as FakeRtc;
    rtc.onOpen();
    await host.clock.advance(0);
    return rtc;
  };
  expect((await meet({ reliable: false })).ended).toBe("destroyed");
  expect((await meet({ serialization: "json" })).ended).toBe("destroyed");
  const rtc = await meet({ serialization: "raw" });
  rtc.onText("grüße");
  rtc.onMessage(Uint8Array.of(1, 2, 3));
  await host.clock.advance(0);
  expect(concatBytes(...(rtc.sent as Uint8Array[]))).toEqual(
    concatBytes(new TextEncoder().encode("grüße"), Uint8Array.of(1, 2, 3)),
  );
  const wrong = await meet({ serialization: "binary" });
  wrong.onMessage(packed({ no: "bytes" }));
  await host.clock.advance(0);
  expect(wrong.ended).toBe("destroyed");
});
