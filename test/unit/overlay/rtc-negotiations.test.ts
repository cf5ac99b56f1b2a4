import { expect, onTestFinished, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { GATHER_MS } from "../../../peer/links/signal-batches.ts";
import type { SignalMessage } from "../../../peer/links/signaller.ts";
import type { Mapping } from "../../../peer/overlay/nat-probe.ts";
import { RtcNegotiations } from "../../../peer/overlay/rtc-negotiations.ts";
import type { WebRtcHost } from "../../../peer/runtime.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { requirePeerId } from "../../../shared/ids.ts";
import { FakeRtcConnection } from "../links/fake-rtc-connection.ts";

const OTHER = requirePeerId(`${"b".repeat(51)}a`);
const HOST = "candidate:1 1 UDP 2114977791 192.168.1.2 5000 typ host";
const SEEN_HERE = "candidate:2 1 UDP 1678769919 203.0.113.1 5000 typ srflx raddr 0.0.0.0 rport 0";
const SEEN_THERE = "candidate:2 1 UDP 1678769919 198.51.100.1 5000 typ srflx raddr 0.0.0.0 rport 0";

interface Negotiated {
  readonly rtc: RtcNegotiations;
  readonly clock: SimClock;
  readonly connection: FakeRtcConnection;
  /** What the other side was sent. */
  readonly sent: SignalMessage[];
  /** What became of it, as it was told. */
  readonly outcomes: (string | undefined)[];
  /** Resolves with the error's code, or "open". */
  readonly end: Promise<string>;
}

/** Offers a connection to a peer that answers with these candidates. */
async function negotiate(remote: readonly string[], mapping: Mapping = "unknown"): Promise<Negotiated> {
  const clock = new SimClock();
  onTestFinished(() => clock.close());
  const connection = new FakeRtcConnection({
    local: { type: "host", address: "192.168.1.2", port: 5000 },
    remote: { type: "srflx", address: "198.51.100.1", port: 5000 },
  });
  const host: WebRtcHost = {
    open: ({ onSignal }) => {
      queueMicrotask(() => {
        onSignal({ kind: "offer", sdp: "v=0\r\n" });
        onSignal({ kind: "candidate", candidate: SEEN_HERE, mid: "0" });
      });
      return connection;
    },
  };
  const outcomes: (string | undefined)[] = [];
  const rtc = new RtcNegotiations({
    runtime: simRuntime({ seed: 1, clock }),
    host,
    iceServers: () => Promise.resolve([{ urls: ["stun:192.0.2.1"] }]),
    onLink: () => {},
    onOutcome: (_, { failure }) => outcomes.push(failure),
    mapping: () => Promise.resolve(mapping),
  });
  const sent: SignalMessage[] = [];
  const offered = rtc.offer(OTHER, (message) => sent.push(message), new AbortController().signal);
  const end = offered.then(
    () => "open",
    (error: unknown) => (error instanceof PeerloomError ? error.code : String(error)),
  );
  await clock.advance(GATHER_MS);
  for (const candidate of remote)
    rtc.receive(OTHER, idOf(sent), { kind: "candidate", candidate, mid: "0" }, () => {});
  return { rtc, clock, connection, sent, outcomes, end };
}

function idOf(sent: readonly SignalMessage[]): Uint8Array {
  const [first] = sent;
  return first?.kind === "rtc" ? first.connectionId : new Uint8Array(8);
}

test("what holds a negotiation up is told before it fails, and again when it has", async () => {
  const { clock, outcomes, end } = await negotiate([HOST]);
  await clock.advance(4_000);
  expect(outcomes).toEqual(["udp-blocked"]);
  expect(await clock.runUntil(end)).toBe("link/timeout");
  expect(outcomes).toEqual(["udp-blocked", "udp-blocked"]);
});

test("a failure without a reason, and silence, are told only at the end", async () => {
  const unlucky = await negotiate([SEEN_THERE]);
  await unlucky.clock.runUntil(unlucky.end);
  expect(unlucky.outcomes).toEqual(["ice-failed"]);
  const silent = await negotiate([]);
  await silent.clock.runUntil(silent.end);
  expect(silent.outcomes).toEqual(["no-answer"]);
});

test("a symmetric NAT of our own is told to the other side, which cannot see it", async () => {
  const { clock, outcomes, sent, end } = await negotiate([SEEN_THERE], "symmetric");
  await clock.runUntil(end);
  expect(outcomes).toEqual(["symmetric-nat", "symmetric-nat"]);
  expect(sent.filter(({ kind }) => kind === "refuse")).toContainEqual({
    kind: "refuse",
    id: idOf(sent),
    code: "symmetric-nat",
  });
});

test("the other side's symmetric NAT is believed, and remembered; nothing else it says is", async () => {
  const { rtc, clock, outcomes, sent, end } = await negotiate([SEEN_THERE]);
  rtc.refused(OTHER, idOf(sent), "udp-blocked");
  await clock.settle();
  expect(outcomes).toEqual([]);
  rtc.refused(OTHER, idOf(sent), "symmetric-nat");
  await clock.runUntil(end);
  expect(outcomes).toEqual(["symmetric-nat", "symmetric-nat", "symmetric-nat"]);
});

test("one that opens has no failure", async () => {
  const { clock, connection, outcomes, end } = await negotiate([SEEN_THERE]);
  connection.onOpen();
  expect(await clock.runUntil(end)).toBe("open");
  expect(outcomes).toEqual([undefined]);
});

test("strangers' offers do not take the place of our own", async () => {
  const { rtc, clock } = await negotiate([SEEN_THERE]);
  const refused: string[] = [];
  for (let i = 0; i < 80; i++) {
    const stranger = requirePeerId(
      `${"c".repeat(49)}${"abcdefghij"[i % 10]}${"abcdefghij"[Math.floor(i / 10)]}a`,
    );
    const id = Uint8Array.of(9, 9, 9, 9, 9, 9, 9, i);
    rtc.receive(stranger, id, { kind: "offer", sdp: "v=0\r\n" }, () => {});
  }
  rtc
    .offer(OTHER, () => {}, new AbortController().signal)
    .catch((error: unknown) => refused.push(error instanceof PeerloomError ? error.code : String(error)));
  await clock.advance(100);
  expect(refused).toEqual([]);
});
