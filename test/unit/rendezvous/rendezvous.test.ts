/** A rendezvous client against an edge that does as the test says, on a clock that the test moves. */
import { expect, onTestFinished, test } from "vitest";
import { identityFromSeed } from "../../../peer/identity/identity.ts";
import { DOUBT_ANSWER_MS, PING_ANSWER_MS, PING_SILENCE_MS } from "../../../peer/overlay/keep-alive.ts";
import {
  JOIN_WAIT_MS,
  Rendezvous,
  type RendezvousOptions,
  type RelayOffer,
} from "../../../peer/overlay/rendezvous.ts";
import { REQUEST_TIMEOUT_MS, REQUESTS_PENDING_MAX } from "../../../peer/overlay/rendezvous-requests.ts";
import {
  CLOSE_REPLACED,
  LEAVE_TIMEOUT_MS,
  UNSENT_BYTES_MAX,
} from "../../../peer/overlay/rendezvous-socket.ts";
import { HEALTHY_AFTER_MS } from "../../../peer/overlay/rendezvous-state.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { channelIdFrom, type PeerId, requireNetworkName } from "../../../shared/ids.ts";
import { JOIN_TIMEOUT_MS, PONG_TEXT, WIRE_VERSION } from "../../../shared/limits.ts";
import { ScriptedEdge, type ScriptedSocket } from "./scripted-edge.ts";
import { settle } from "./fake-clock.ts";

const network = requireNetworkName("demo");
const [alice, bob] = await Promise.all([
  identityFromSeed(new Uint8Array(32).fill(1)),
  identityFromSeed(new Uint8Array(32).fill(2)),
]);
const sealed = Uint8Array.of(1, 2, 3);
const channel = channelIdFrom(new Uint8Array(16).fill(9));
const never = new AbortController().signal;

interface Scene {
  readonly edge: ScriptedEdge;
  readonly rendezvous: Rendezvous;
  /** What happened, in order. */
  readonly events: string[];
}

function setUp(options: Partial<RendezvousOptions> & { readonly unit?: () => number } = {}): Scene {
  const edge = new ScriptedEdge();
  const { unit, ...rest } = options;
  const rendezvous = new Rendezvous({
    runtime: edge.runtime(unit),
    identity: alice,
    network,
    edge: "https://edge.example/some/page",
    addresses: () => ["tcp://192.0.2.1:4000"],
    ...rest,
  });
  const events: string[] = [];
  rendezvous.onState = (connected, error) => events.push(connected ? "joined" : `lost: ${error?.code}`);
  onTestFinished(async () => {
    const closed = rendezvous.close();
    await edge.clock.advance(LEAVE_TIMEOUT_MS);
    await closed;
    expect(edge.clock.pendingTimers).toBe(0);
    expect(edge.hanging).toBe(0);
    expect(edge.sockets.every(({ ended }) => ended !== "")).toBe(true);
  });
  return { edge, rendezvous, events };
}

async function setUpJoined(
  options: Parameters<typeof setUp>[0] = {},
): Promise<Scene & { readonly socket: ScriptedSocket }> {
  const scene = setUp(options);
  const opened = scene.rendezvous.open();
  const socket = await scene.edge.dialled.take();
  await socket.admit(network);
  await opened;
  return { ...scene, socket };
}

/** The error that `action` ends with; fails when there is none. */
async function rejection(action: Promise<unknown>): Promise<PeerloomError> {
  const error = await action.then(
    () => new Error("nothing was thrown"),
    (caught: unknown) => caught,
  );
  if (!(error instanceof PeerloomError)) throw error;
  return error;
}

async function takeRequest(socket: ScriptedSocket): Promise<number> {
  const message = await socket.received.take();
  if (!("request" in message)) throw new Error(`${message.kind} has no request number`);
  return message.request;
}

test("joins with a signature over nonce, origin, network and time, and learns the beacons", async () => {
  const { edge, rendezvous, events } = setUp();
  const beacons = [{ id: bob.id, addresses: ["tcp://192.0.2.2:4000"] }];
  rendezvous.onJoined = (welcome) => events.push(`beacons: ${welcome.beacons.length}`);
  const opened = rendezvous.open();
  const socket = await edge.dialled.take();
  expect(socket.url).toBe(`wss://edge.example/v1/net/demo/join?v=${WIRE_VERSION}&back=`);
  const join = await socket.admit(network, beacons); // checks the signature
  await opened;
  expect(join).toMatchObject({
    version: WIRE_VERSION,
    id: alice.id,
    beacon: true,
    addresses: ["tcp://192.0.2.1:4000"],
  });
  expect(join.timeMs).toBe(edge.clock.nowMs());
  expect(events).toEqual(["joined", "beacons: 1"]);
  expect(rendezvous.state).toMatchObject({ phase: "joined", welcome: { beacons } });
  await rendezvous.waitUntilJoined(never);
});

test("shows beside its socket what it showed at the join, and what it was given since", async () => {
  const pass = (origin: string): Promise<string> => Promise.resolve(`member-of-${new URL(origin).host}`);
  const { socket, rendezvous } = await setUpJoined({ pass });
  expect(socket.url).toMatch(/&back=&pass=member-of-edge\.example$/);
  expect(rendezvous.back).toBe("");
  socket.say({ kind: "budget", stage: "open", leftMs: 1_000, pass: "return-pass" });
  socket.say({ kind: "budget", stage: "relay-slow", leftMs: 1_000, pass: "" });
  expect(await rendezvous.proof()).toBe("back=return-pass&pass=member-of-edge.example");
});

test("an http edge is dialled by ws, and the origin is signed without path", () => {
  const { rendezvous } = setUp({ edge: "http://127.0.0.1:8787/x?y#z" });
  expect(rendezvous.edge).toBe("http://127.0.0.1:8787");
});

test.each(["", "edge.example", "ftp://edge.example", "ws://edge.example"])("%j is no edge", (edge) => {
  expect(() => setUp({ edge })).toThrow(expect.objectContaining({ code: "usage/invalid" }));
});

test("an edge that nobody answers for is unreachable at once, and tried again", async () => {
  const { edge, rendezvous, events } = setUp();
  edge.mood = "refuse";
  const error = await rejection(rendezvous.open());
  expect(error.code).toBe("edge/unreachable");
  expect(error.message).toContain("https://edge.example cannot be reached (connection refused)");
  edge.mood = "accept";
  const joined = rendezvous.waitUntilJoined(never);
  await edge.clock.advance(250);
  await (await edge.dialled.take()).admit(network);
  await joined;
  expect(events).toEqual(["lost: edge/unreachable", "joined"]);
});

test.each(["dial", "challenge", "join"] as const)(
  "an edge that is silent after the %s is unreachable after the deadline",
  async (stage) => {
    const { edge, rendezvous } = setUp();
    if (stage === "dial") edge.mood = "hang";
    const failed = rejection(rendezvous.open());
    if (stage !== "dial") {
      const socket = await edge.dialled.take();
      if (stage === "join") await socket.challenge();
    }
    await edge.clock.advance(JOIN_TIMEOUT_MS - 1);
    expect(rendezvous.state.phase).toBe("joining");
    await edge.clock.advance(1);
    expect((await failed).code).toBe("edge/unreachable");
    expect(rendezvous.state.phase).toBe("waiting");
  },
);

test("an edge that has begun with a peer is not given up for the time before, and one too slow is left alone for longer", async () => {
  const { edge, rendezvous } = setUp();
  const failed = rejection(rendezvous.open());
  const socket = await edge.dialled.take();
  await edge.clock.advance(JOIN_TIMEOUT_MS - 1);
  await socket.challenge();
  await edge.clock.advance(JOIN_TIMEOUT_MS - 1);
  expect(rendezvous.state.phase).toBe("joining");
  await edge.clock.advance(1);
  await failed;
  const waits: number[] = [];
  for (let round = 0; round < 10; round++) {
    const { state } = rendezvous;
    if (state.phase !== "waiting") throw new Error(`it is ${state.phase}`);
    waits.push(state.delayMs);
    await edge.clock.advance(state.delayMs);
    await edge.dialled.take();
    await edge.clock.advance(JOIN_TIMEOUT_MS);
  }
  // Beyond the minute of an edge that is away; `unit` is a half.
  expect(waits).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 120_000]);
});

test("told not to run on, it stops after the first failure", async () => {
  const { edge, rendezvous } = setUp({ runOn: false });
  edge.mood = "refuse";
  expect((await rejection(rendezvous.open())).code).toBe("edge/unreachable");
  expect(rendezvous.state.phase).toBe("stopped");
  expect(edge.clock.pendingTimers).toBe(0);
});

test("told not to run on, it does come back once it had joined", async () => {
  const { edge, rendezvous, socket } = await setUpJoined({ runOn: false });
  socket.onClose(1006, "");
  await settle();
  expect(rendezvous.state.phase).toBe("waiting");
  await edge.clock.advance(250);
  await (await edge.dialled.take()).admit(network);
  expect(rendezvous.state.phase).toBe("joined");
});

test.each(["wire/version", "edge/challenge-failed", "edge/replaced", "network/invalid-name"])(
  "%s from the edge stops it",
  async (code) => {
    const { edge, rendezvous, events } = setUp();
    const failed = rejection(rendezvous.open());
    const socket = await edge.dialled.take();
    await socket.challenge();
    socket.sayError(0, code, "because\u001b[31m of\nthis");
    const error = await failed;
    expect(error.code).toBe(code);
    expect(error.message).toBe("The edge says: because [31m of this");
    expect(rendezvous.state.phase).toBe("stopped");
    expect(edge.clock.pendingTimers).toBe(0);
    expect(events).toEqual([`lost: ${code}`]);
    expect((await rejection(rendezvous.waitUntilJoined(never))).code).toBe(code);
    expect((await rejection(rendezvous.find(bob.id, never))).code).toBe(code);
  },
);

test.each(["edge/rate-limited", "edge/too-many-sockets", "edge/not-member", "edge/some-new-code"])(
  "%s from the edge is tried again",
  async (code) => {
    const { edge, rendezvous } = setUp();
    const failed = rejection(rendezvous.open());
    (await edge.dialled.take()).sayError(0, code);
    expect((await failed).code).toBe(code === "edge/some-new-code" ? "edge/unreachable" : code);
    expect(rendezvous.state.phase).toBe("waiting");
  },
);

test("an edge one version back is joined in its version", async () => {
  const { edge, rendezvous } = setUp();
  const opened = rendezvous.open();
  const socket = await edge.dialled.take();
  const join = await socket.challenge(WIRE_VERSION - 1);
  expect(join.version).toBe(WIRE_VERSION - 1);
  socket.say({ kind: "joined", beacons: [], keep: true, relay: true, members: 1, address: "" });
  await opened;
});

test("an edge of another wire version is not joined", async () => {
  const { edge, rendezvous } = setUp();
  const failed = rejection(rendezvous.open());
  const socket = await edge.dialled.take();
  socket.say({
    kind: "challenge",
    version: WIRE_VERSION + 1,
    nonce: new Uint8Array(32),
    timeMs: edge.clock.nowMs(),
  });
  expect((await failed).code).toBe("wire/version");
  expect(rendezvous.state.phase).toBe("stopped");
  expect(socket.received.size).toBe(0);
});

test("a code in the closing reason is understood", async () => {
  const { rendezvous, socket } = await setUpJoined();
  socket.onClose(1008, "edge/rate-limited");
  await settle();
  expect(rendezvous.state).toMatchObject({ phase: "waiting", error: { code: "edge/rate-limited" } });
});

test("a challenge failed at the first join is for good, one after a join is tried again", async () => {
  const { edge, rendezvous, socket } = await setUpJoined();
  socket.onClose(1006, "");
  await edge.clock.advance(250);
  (await edge.dialled.take()).sayError(0, "edge/challenge-failed", "No join came in time. Connect again.");
  await settle();
  expect(rendezvous.state).toMatchObject({ phase: "waiting", error: { code: "edge/challenge-failed" } });
});

test("a refusal before the socket keeps its code where the host can read it", async () => {
  const { edge, rendezvous } = setUp();
  edge.mood = "refuse";
  edge.refusal = new PeerloomError("edge/over-capacity", "This network's rendezvous is full.");
  expect(await rejection(rendezvous.open())).toBe(edge.refusal);
  expect(rendezvous.state.phase).toBe("waiting");
});

test("waits grow with full jitter up to a minute, and a healthy minute makes them short again", async () => {
  const { edge, rendezvous } = setUp({ unit: () => 1 });
  edge.mood = "refuse";
  await rejection(rendezvous.open());
  const delays: number[] = [];
  for (let i = 0; i < 9; i++) {
    if (rendezvous.state.phase !== "waiting") throw new Error(`it is ${rendezvous.state.phase}`);
    delays.push(rendezvous.state.delayMs);
    if (i === 8) edge.mood = "accept";
    await edge.clock.advance(rendezvous.state.delayMs);
  }
  expect(delays).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);

  const first = await edge.dialled.take();
  await first.admit(network);
  first.onClose(1006, "");
  await settle();
  expect(rendezvous.state).toMatchObject({ phase: "waiting", delayMs: 60_000 }); // joined, but not for long
  await edge.clock.advance(60_000);

  const second = await edge.dialled.take();
  await second.admit(network);
  for (let ms = 0; ms < HEALTHY_AFTER_MS; ms += 20_000) {
    await edge.clock.advance(20_000);
    second.onText(PONG_TEXT);
  }
  second.onClose(1006, "");
  await settle();
  expect(rendezvous.state).toMatchObject({ phase: "waiting", delayMs: 500, attempt: 1 });
});

test("two whose random numbers differ come back at different times", async () => {
  const delays = await Promise.all(
    [0.1, 0.9].map(async (unit) => {
      const { edge, rendezvous } = setUp({ unit: () => unit });
      edge.mood = "refuse";
      await rejection(rendezvous.open());
      return rendezvous.state.phase === "waiting" ? rendezvous.state.delayMs : -1;
    }),
  );
  expect(delays).toEqual([50, 450]);
});

test("somebody else with this identity: it does not fight", async () => {
  const { edge, rendezvous, events, socket } = await setUpJoined();
  socket.onClose(CLOSE_REPLACED, "");
  await edge.clock.advance(600_000);
  expect(rendezvous.state).toMatchObject({ phase: "stopped", error: { code: "edge/replaced" } });
  expect(events).toEqual(["joined", "lost: edge/replaced"]);
  expect(edge.sockets).toHaveLength(1);
});

test("a socket that our own next one replaced says so in vain", async () => {
  const { edge, rendezvous, socket } = await setUpJoined();
  const replaced = socket.onClose;
  await edge.clock.advance(PING_SILENCE_MS + 2 * PING_ANSWER_MS); // gone silent
  await edge.clock.advance(250);
  await (await edge.dialled.take()).admit(network);
  socket.onClose(CLOSE_REPLACED, "");
  replaced(CLOSE_REPLACED, "");
  await settle();
  expect(rendezvous.state.phase).toBe("joined");
});

test("silence is answered by pings, and two unanswered ones by a new socket", async () => {
  const { edge, rendezvous, socket, events } = await setUpJoined();
  await edge.clock.advance(PING_SILENCE_MS);
  expect(socket.pings).toEqual([PING_SILENCE_MS]);
  socket.onText(PONG_TEXT);
  await edge.clock.advance(PING_SILENCE_MS);
  expect(socket.pings).toHaveLength(2);
  await edge.clock.advance(PING_ANSWER_MS);
  expect(socket.pings).toHaveLength(3);
  expect(rendezvous.state.phase).toBe("joined");
  await edge.clock.advance(PING_ANSWER_MS);
  expect(rendezvous.state.phase).toBe("waiting");
  expect(socket.ended).toBe("destroyed");
  expect(events).toEqual(["joined", "lost: edge/unreachable"]);
});

test("a doubted socket is asked at once, and given up soon", async () => {
  const { edge, rendezvous, socket } = await setUpJoined();
  rendezvous.doubt();
  rendezvous.doubt();
  expect(socket.pings).toHaveLength(1);
  socket.onText(PONG_TEXT);
  await edge.clock.advance(DOUBT_ANSWER_MS);
  expect(rendezvous.state.phase).toBe("joined");
  rendezvous.doubt();
  expect(socket.pings).toHaveLength(2);
  await edge.clock.advance(DOUBT_ANSWER_MS);
  expect(rendezvous.state.phase).toBe("waiting");
  expect(socket.ended).toBe("destroyed");
});

test("who hears something needs no ping", async () => {
  const { edge, socket } = await setUpJoined();
  for (let i = 0; i < 20; i++) {
    await edge.clock.advance(PING_SILENCE_MS - 1);
    socket.say({ kind: "signal", from: bob.id, sealed });
  }
  expect(socket.pings).toEqual([]);
});

test("signals and relay offers are handed on in order, in memory of their own", async () => {
  const { rendezvous, socket } = await setUpJoined();
  const seen: [string, PeerId, Uint8Array][] = [];
  const offers: RelayOffer[] = [];
  let released = 0;
  rendezvous.onSignal = (from, bytes) => seen.push(["signal", from, bytes]);
  rendezvous.onRelayOffer = (offer) => offers.push(offer);
  rendezvous.onRelease = () => (released += 1);
  socket.say({ kind: "signal", from: bob.id, sealed: Uint8Array.of(1) });
  socket.say({ kind: "signal", from: bob.id, sealed: Uint8Array.of(2) });
  socket.say({ kind: "relay-offer", from: bob.id, channel, ticket: "ticket", sealed });
  socket.say({ kind: "release" });
  expect(seen).toEqual([
    ["signal", bob.id, Uint8Array.of(1)],
    ["signal", bob.id, Uint8Array.of(2)],
  ]);
  expect(offers).toEqual([{ from: bob.id, channel, ticket: "ticket", sealed }]);
  expect(released).toBe(1);
});

test("requests find their own answers, in whatever order these come", async () => {
  const { rendezvous, socket } = await setUpJoined();
  const relay = rendezvous.relay(bob.id, sealed, never);
  const found = rendezvous.find(bob.id, never);
  const missing = rendezvous.find(alice.id, never);
  const requests = [await takeRequest(socket), await takeRequest(socket), await takeRequest(socket)] as const;
  expect(new Set(requests).size).toBe(3);
  socket.say({ kind: "found", request: requests[2], contact: undefined });
  socket.say({
    kind: "found",
    request: requests[1],
    contact: { id: bob.id, addresses: ["ws://192.0.2.2:1"] },
  });
  socket.say({ kind: "relay-ready", request: requests[0], channel, ticket: "ticket" });
  expect(await relay).toEqual({ channel, ticket: "ticket" });
  expect(await found).toEqual({ id: bob.id, addresses: ["ws://192.0.2.2:1"] });
  expect(await missing).toBeUndefined();
});

test("the edge's error ends the request it is about, and no other", async () => {
  const { edge, rendezvous, socket } = await setUpJoined();
  const relay = rejection(rendezvous.relay(bob.id, sealed, never));
  const find = rejection(rendezvous.find(bob.id, never));
  socket.sayError(await takeRequest(socket), "peer/not-found", "Nobody of that id is here.");
  expect(await relay).toMatchObject({
    code: "peer/not-found",
    message: "The edge says: Nobody of that id is here.",
  });
  expect(rendezvous.state.phase).toBe("joined");
  await edge.clock.advance(REQUEST_TIMEOUT_MS);
  expect((await find).code).toBe("edge/unreachable");
});

test("an unanswered request ends at its deadline, and a late answer is dropped", async () => {
  const { edge, rendezvous, socket } = await setUpJoined();
  const failed = rejection(rendezvous.relay(bob.id, sealed, never));
  const request = await takeRequest(socket);
  await edge.clock.advance(REQUEST_TIMEOUT_MS);
  expect((await failed).code).toBe("edge/unreachable");
  socket.say({ kind: "relay-ready", request, channel, ticket: "late" });
  expect(rendezvous.state.phase).toBe("joined");
});

test("a request ends when it is aborted, with the reason that was given", async () => {
  const { rendezvous } = await setUpJoined();
  const controller = new AbortController();
  const plain = rejection(rendezvous.find(bob.id, controller.signal));
  controller.abort();
  expect((await plain).code).toBe("aborted");
  expect((await rejection(rendezvous.find(bob.id, controller.signal))).code).toBe("aborted");
  const typed = AbortSignal.abort(new PeerloomError("connect/timeout", "too late"));
  expect((await rejection(rendezvous.relay(bob.id, sealed, typed))).code).toBe("connect/timeout");
});

test("requests are bounded", async () => {
  const { edge, rendezvous } = await setUpJoined();
  const all = Array.from({ length: REQUESTS_PENDING_MAX }, () => rejection(rendezvous.find(bob.id, never)));
  expect((await rejection(rendezvous.find(bob.id, never))).code).toBe("edge/rate-limited");
  await edge.clock.advance(REQUEST_TIMEOUT_MS);
  expect(new Set((await Promise.all(all)).map(({ code }) => code))).toEqual(new Set(["edge/unreachable"]));
});

test("a lost socket ends its requests at once", async () => {
  const { rendezvous, socket } = await setUpJoined();
  const failed = rejection(rendezvous.find(bob.id, never));
  socket.onClose(1006, "");
  expect((await failed).code).toBe("edge/unreachable");
  expect((await rejection(rendezvous.relay(bob.id, sealed, never))).code).toBe("edge/unreachable");
});

test("an answer to another question costs the edge its socket", async () => {
  for (const wrong of ["kind", "id"] as const) {
    const { rendezvous, socket } = await setUpJoined();
    const failed = rejection(rendezvous.find(bob.id, never));
    const request = await takeRequest(socket);
    if (wrong === "kind") socket.say({ kind: "relay-ready", request, channel, ticket: "" });
    else socket.say({ kind: "found", request, contact: { id: alice.id, addresses: [] } });
    expect((await failed).code).toBe("wire/malformed");
    await settle();
    expect(rendezvous.state.phase).toBe("waiting");
  }
});

test("a signal that finds nobody is told with its target", async () => {
  const { rendezvous, socket } = await setUpJoined();
  const errors: [PeerId, string][] = [];
  rendezvous.onSignalError = (to, error) => errors.push([to, error.code]);
  rendezvous.signal(bob.id, sealed);
  rendezvous.signal(alice.id, sealed);
  const first = await socket.received.take();
  expect(first).toMatchObject({ kind: "signal", to: bob.id, sealed });
  const second = await takeRequest(socket);
  socket.sayError(second, "peer/not-found");
  socket.sayError(second, "peer/not-found"); // twice is once
  socket.sayError(4_000_000_000, "peer/not-found"); // about nothing we sent
  expect(errors).toEqual([[alice.id, "peer/not-found"]]);
});

test("a signal without a socket, or to an edge that takes nothing, is told at once", async () => {
  const { rendezvous, socket } = await setUpJoined();
  const errors: string[] = [];
  rendezvous.onSignalError = (_, error) => errors.push(error.code);
  socket.bufferedBytes = UNSENT_BYTES_MAX + 1;
  rendezvous.signal(bob.id, sealed);
  expect((await rejection(rendezvous.find(bob.id, never))).code).toBe("edge/rate-limited");
  socket.onClose(1006, "");
  rendezvous.signal(bob.id, sealed); // the loss is not even dealt with
  await settle();
  rendezvous.signal(bob.id, sealed);
  expect(errors).toEqual(["edge/rate-limited", "edge/unreachable", "edge/unreachable"]);
  expect(socket.received.size).toBe(0);
});

test("new addresses are told when joined, and with every join", async () => {
  let addresses = ["tcp://192.0.2.1:1"];
  const { edge, rendezvous, socket } = await setUpJoined({ addresses: () => addresses });
  addresses = ["tcp://192.0.2.1:2", `ws://${"long".repeat(50)}:1`];
  rendezvous.updateAddresses();
  expect(await socket.received.take()).toEqual({ kind: "addresses", addresses: ["tcp://192.0.2.1:2"] });
  socket.onClose(1006, "");
  await settle();
  rendezvous.updateAddresses(); // not joined: nothing to tell yet
  await edge.clock.advance(250);
  expect((await (await edge.dialled.take()).admit(network)).addresses).toEqual(["tcp://192.0.2.1:2"]);
});

test("addresses that change during the join are told right after it", async () => {
  let addresses = ["tcp://192.0.2.1:1"];
  const { edge, rendezvous } = setUp({ addresses: () => addresses });
  const opened = rendezvous.open();
  const socket = await edge.dialled.take();
  expect((await socket.challenge()).addresses).toEqual(addresses);
  addresses = ["tcp://192.0.2.1:1", "tcp://203.0.113.1:4000"];
  rendezvous.updateAddresses(); // not joined yet
  socket.say({ kind: "joined", beacons: [], keep: true, relay: true, members: 3, address: "198.51.100.7" });
  await opened;
  expect(await socket.received.take()).toEqual({ kind: "addresses", addresses });
});

test.each<[string, Uint8Array | "joined" | "challenge"]>([
  ["noise", Uint8Array.of(0xc1, 0xff, 0x00)],
  ["nothing", new Uint8Array(0)],
  ["an oversized message", new Uint8Array(40_000).fill(0x90)],
  ["a record definition", Uint8Array.of(0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01)],
  ["a second join", "joined"],
  ["a second challenge", "challenge"],
])("%s from the edge costs it the socket, which is made again", async (_, what) => {
  const { edge, rendezvous, socket } = await setUpJoined();
  if (what === "joined")
    socket.say({ kind: "joined", beacons: [], keep: false, relay: false, members: 0, address: "" });
  else if (what === "challenge")
    socket.say({ kind: "challenge", version: 1, nonce: new Uint8Array(32), timeMs: 0 });
  else socket.say(what);
  await settle();
  expect(rendezvous.state).toMatchObject({ phase: "waiting" });
  expect(socket.ended).toBe("destroyed");
  await edge.clock.advance(250);
  await (await edge.dialled.take()).admit(network);
  expect(rendezvous.state.phase).toBe("joined");
});

test("a member's message before the join is out of turn", async () => {
  const { edge, rendezvous } = setUp();
  let signals = 0;
  rendezvous.onSignal = () => (signals += 1);
  const failed = rejection(rendezvous.open());
  const socket = await edge.dialled.take();
  socket.say({ kind: "signal", from: bob.id, sealed });
  expect((await failed).code).toBe("wire/malformed");
  expect(signals).toBe(0);
});

test("a socket that ends while the challenge is being signed sends nothing more", async () => {
  const { edge, rendezvous } = setUp();
  const failed = rejection(rendezvous.open());
  const socket = await edge.dialled.take();
  socket.say({ kind: "challenge", version: WIRE_VERSION, nonce: new Uint8Array(32), timeMs: 0 });
  socket.onClose(1006, "");
  await failed;
  await alice.sign(sealed);
  await settle();
  expect(socket.received.size).toBe(0);
});

test("waiting for the join ends after its deadline, when aborted, and when closed", async () => {
  const { edge, rendezvous } = setUp({ unit: () => 1 });
  edge.mood = "hang";
  const opened = rejection(rendezvous.open());
  const late = rejection(rendezvous.waitUntilJoined(never));
  const controller = new AbortController();
  const aborted = rejection(rendezvous.waitUntilJoined(controller.signal));
  controller.abort();
  expect((await aborted).code).toBe("aborted");
  await edge.clock.advance(JOIN_WAIT_MS);
  expect((await late).code).toBe("edge/unreachable");
  expect((await opened).code).toBe("edge/unreachable");
  const closed = rejection(rendezvous.waitUntilJoined(never));
  await rendezvous.close();
  expect((await closed).code).toBe("peer/closed");
});

test("opening can be given up", async () => {
  const { edge, rendezvous } = setUp();
  edge.mood = "hang";
  const controller = new AbortController();
  const opened = rejection(rendezvous.open(controller.signal));
  controller.abort();
  expect((await opened).code).toBe("aborted");
  expect((await rejection(rendezvous.open(controller.signal))).code).toBe("aborted");
});

test.each(["idle", "dialling", "challenge", "joined", "waiting", "stopped"] as const)(
  "closing while %s leaves nothing",
  async (when) => {
    const { edge, rendezvous, events } = setUp();
    if (when === "dialling") edge.mood = "hang";
    if (when === "waiting") edge.mood = "refuse";
    const opened = when === "idle" ? Promise.resolve() : rendezvous.open().catch(() => {});
    if (when === "challenge" || when === "joined" || when === "stopped") {
      const socket = await edge.dialled.take();
      if (when === "joined") await socket.admit(network);
      if (when === "stopped") socket.sayError(0, "wire/version");
    }
    await settle();
    const told = events.length;
    const closed = Promise.all([rendezvous.close(), rendezvous.close()]);
    const socket = edge.sockets[0];
    if (when === "joined") {
      expect(socket?.ended).toBe("closed");
      socket?.onClose(1000, "");
    }
    await closed;
    await opened;
    expect(edge.clock.pendingTimers).toBe(0);
    expect(rendezvous.state.phase).toBe("closed");
    expect(events).toHaveLength(told); // who closes need not be told
    expect((await rejection(rendezvous.open())).code).toBe("peer/closed");
    expect((await rejection(rendezvous.find(bob.id, never))).code).toBe("peer/closed");
    await rendezvous.close();
  },
);

test("an edge that does not say goodbye is left after a second", async () => {
  const { edge, rendezvous, socket } = await setUpJoined();
  const pending = rejection(rendezvous.find(bob.id, never));
  const closed = rendezvous.close();
  expect(socket.ended).toBe("closed");
  socket.say({ kind: "signal", from: bob.id, sealed }); // too late to matter
  await edge.clock.advance(LEAVE_TIMEOUT_MS);
  await closed;
  expect(socket.ended).toBe("destroyed");
  expect((await pending).code).toBe("peer/closed");
});

test("released, it leaves and comes back for whoever needs it", async () => {
  const { edge, rendezvous, events, socket } = await setUpJoined();
  rendezvous.release();
  await edge.clock.advance(LEAVE_TIMEOUT_MS);
  expect(rendezvous.state.phase).toBe("released");
  expect(socket.ended).not.toBe("");
  expect(events).toEqual(["joined", "lost: undefined"]);
  await edge.clock.advance(600_000);
  expect(rendezvous.state.phase).toBe("released");
  const waiting = rendezvous.waitUntilJoined();
  await (await edge.dialled.take()).admit(network);
  await waiting;
  expect(rendezvous.state.phase).toBe("joined");
});

test("released, it closes at once, and wanted twice it joins once", async () => {
  const { edge, rendezvous } = await setUpJoined();
  rendezvous.want();
  rendezvous.release();
  await edge.clock.advance(LEAVE_TIMEOUT_MS);
  rendezvous.want();
  rendezvous.want();
  await (await edge.dialled.take()).admit(network);
  await settle();
  rendezvous.release();
  await edge.clock.advance(LEAVE_TIMEOUT_MS);
  expect(rendezvous.state.phase).toBe("released");
  await rendezvous.close();
  expect(rendezvous.state.phase).toBe("closed");
});
