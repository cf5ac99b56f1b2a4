/** The socket to a PeerServer in virtual time: let in, refused, lost, taken over, gone silent. */
import { expect, onTestFinished, test } from "vitest";
import type { ServerState } from "../../../peer/peerjs/contract.ts";
import { PeerServer } from "../../../peer/peerjs/peer-server.ts";
import { codeOf } from "../../integration/peers.ts";
import { FakeHost } from "./fake-server.ts";

interface World {
  readonly host: FakeHost;
  readonly server: PeerServer;
  readonly states: (string | true)[];
  readonly heard: string[];
}

function world(): World {
  const host = new FakeHost();
  const states: (string | true)[] = [];
  const heard: string[] = [];
  const server = new PeerServer({
    runtime: host.runtime(),
    url: "ws://peers.example/peerjs?id=me",
    server: "peers.example",
    id: "me",
    onMessage: ({ kind }) => heard.push(kind),
    onState: ({ connected, error }: ServerState) => states.push(connected || (error?.code ?? "")),
  });
  onTestFinished(() => server.close());
  return { host, server, states, heard };
}

async function opened(): Promise<World> {
  const made = world();
  const opening = made.server.open();
  await made.host.clock.advance(0);
  made.host.socket.say({ type: "OPEN" });
  await opening;
  return made;
}

test.each([
  [{ type: "ID-TAKEN", payload: { msg: "ID is taken" } }, "peerjs/id-taken"],
  [{ type: "ERROR", payload: { msg: "Invalid key provided" } }, "peerjs/key-invalid"],
  [{ type: "INVALID-KEY" }, "peerjs/key-invalid"],
  [{ type: "ERROR", payload: { msg: "Server has reached its concurrent user limit" } }, "edge/unreachable"],
  [{ type: "ERROR", payload: { msg: "slow down", code: "edge/rate-limited" } }, "edge/rate-limited"],
  [{ type: "ERROR" }, "edge/unreachable"],
])("refused with %j: open throws %s and nothing runs on", async (message, code) => {
  const { host, server } = world();
  const refused = codeOf(server.open());
  await host.clock.advance(0);
  host.socket.say(message);
  expect(await refused).toBe(code);
  expect(host.socket.isClosed).toBe(true);
  await host.clock.advance(600_000);
  expect([host.sockets.length, host.clock.pendingTimers]).toEqual([1, 0]);
});

test("a server that says nothing, or is not there, is unreachable; so it stays for who gave up", async () => {
  const silent = world();
  const first = codeOf(silent.server.open());
  await silent.host.clock.advance(15_000);
  expect(await first).toBe("edge/unreachable");
  const absent = world();
  absent.host.isDown = true;
  expect(await codeOf(absent.server.open())).toBe("edge/unreachable");
  const stopped = world();
  const stop = new AbortController();
  const third = codeOf(stopped.server.open(stop.signal));
  await stopped.host.clock.advance(0);
  stop.abort();
  expect(await third).toBe("aborted");
  expect(stopped.host.clock.pendingTimers).toBe(0);
});

test("a lost socket is dialled again with longer and longer waits, under the same id; what waited is sent", async () => {
  const { host, server, states } = await opened();
  host.isDown = true;
  host.socket.onClose(1006, "");
  await host.clock.advance(0);
  server.send('{"type":"CANDIDATE"}');
  // 250 ms, 500, 1,000 … 15 s, with half a bound each.
  await host.clock.advance(250 + 500 + 1_000 + 2_000 + 4_000 + 8_000);
  host.isDown = false;
  await host.clock.advance(15_000);
  expect(host.sockets.length).toBe(2);
  expect(server.isOpen).toBe(false);
  host.socket.say({ type: "OPEN" });
  expect(server.isOpen).toBe(true);
  expect(host.socket.signals).toEqual([{ type: "CANDIDATE" }]);
  expect(states).toEqual([true, ...Array.from({ length: 7 }, () => "edge/unreachable"), true]);
});

test("who is thrown out right after it was let in waits longer each time", async () => {
  const { host } = await opened();
  const dials: number[] = [];
  for (let round = 0; round < 5; round++) {
    const before = host.clock.monotonicMs();
    host.socket.onClose(1006, "");
    const { length } = host.sockets;
    while (host.sockets.length === length) await host.clock.advance(50);
    host.socket.say({ type: "OPEN" });
    dials.push(host.clock.monotonicMs() - before);
  }
  expect(dials).toEqual([250, 500, 1_000, 2_000, 4_000]);
});

test("PeerServer says nothing at a takeover: a message to oneself that comes back means that we are in", async () => {
  const { host, server, heard } = await opened();
  host.socket.onClose(1006, "");
  await host.clock.advance(250);
  await host.clock.advance(2_000);
  const probe = host.socket.signals[0];
  expect(probe).toMatchObject({ type: "CANDIDATE", dst: "me" });
  expect(server.isOpen).toBe(false);
  host.socket.say({ ...probe, src: "somebody" });
  expect(server.isOpen).toBe(false);
  host.socket.say({ ...probe, src: "me" });
  expect(server.isOpen).toBe(true);
  host.socket.say({ ...probe, src: "me" });
  expect(heard).toEqual(["signal"]); // what somebody said; the probe is nobody else's business
});

test("another process with this id and token ends it for good", async () => {
  const { host, states } = await opened();
  host.socket.onClose(4001, "edge/replaced");
  await host.clock.advance(600_000);
  expect(states).toEqual([true, "edge/replaced"]);
  expect([host.sockets.length, host.clock.pendingTimers]).toEqual([1, 0]);
});

test("heartbeats go out; one that was answered once is missed after three", async () => {
  const { host, states } = await opened();
  await host.clock.advance(60_000); // PeerServer answers none, and lives
  expect(host.socket.sent.filter(({ type }) => type === "HEARTBEAT").length).toBe(12);
  host.socket.say({ type: "HEARTBEAT" });
  await host.clock.advance(19_999);
  expect(states).toEqual([true]);
  await host.clock.advance(1);
  expect(states).toEqual([true, "edge/unreachable"]);
});

test("junk is ignored", async () => {
  const { host, heard, states } = await opened();
  for (const junk of [
    "",
    "null",
    "42",
    "{",
    "[".repeat(100_000),
    '{"type":1}',
    '{"type":"OFFER"}',
    '{"type":"OFFER","src":""}',
  ])
    host.socket.say(junk);
  expect(states).toEqual([true]);
  expect(new Set(heard)).toEqual(new Set(["ignored"]));
});
