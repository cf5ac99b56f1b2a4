/**
 * The session's main claim: every byte arrives exactly once and in order, whatever links die and however they do it, as
 * long as a new one comes in time. Scripts of links, streams and accidents are random; a failing one is shrunk.
 */
import fc from "fast-check";
import { test } from "vitest";
import type { Noticed } from "../../../peer/adapters/sim/link.ts";
import { SESSION_SIGNAL_BYTES_MAX } from "../../../peer/session/stream-frames.ts";
import { type Accident, type Flow, play, type Script } from "./script.ts";
import type { PeerName, Wire } from "./world.ts";

const peerName = fc.constantFrom<PeerName>("alice", "bob");
const wire: fc.Arbitrary<Wire> = fc.record({
  dialler: peerName,
  kind: fc.constantFrom("tcp", "webrtc", "websocket", "relay", "overlay"),
  latencyMs: fc.integer({ min: 0, max: 150 }),
  jitterMs: fc.integer({ min: 0, max: 40 }),
  bytesPerSecond: fc.constantFrom(200_000, 1_000_000, 10_000_000, Infinity),
  unackedBytesMax: fc.constantFrom(256 * 1024, 16 * 1024 * 1024),
});
const bytes = fc.oneof(
  fc.constant(0),
  fc.integer({ min: 1, max: 2_000 }),
  fc.integer({ min: 1, max: 600_000 }),
);
const flow: fc.Arbitrary<Flow> = fc.record({
  opener: peerName,
  priority: fc.constantFrom("interactive", "normal", "bulk"),
  there: bytes,
  back: bytes,
  pieceBytesMax: fc.constantFrom(1_000, 65_536, 300_000),
  readerRestsMs: fc.constantFrom(0, 0, 50),
});
const when = { afterMs: fc.integer({ min: 0, max: 4_000 }), link: fc.nat(5) };
const accident: fc.Arbitrary<Accident> = fc.oneof(
  fc.record({
    ...when,
    kind: fc.constant("cut" as const),
    noticed: fc.constantFrom<Noticed>("both", "first", "second", "neither"),
  }),
  fc.record({ ...when, kind: fc.constant("pause" as const), forMs: fc.integer({ min: 1, max: 8_000 }) }),
  fc.record({ ...when, kind: fc.constantFrom("close", "destroy"), by: fc.constantFrom("first", "second") }),
  fc.record({ ...when, kind: fc.constant("add" as const), wire }),
  fc.record({
    ...when,
    kind: fc.constant("signal" as const),
    by: peerName,
    bytes: fc.integer({ min: 1, max: SESSION_SIGNAL_BYTES_MAX }),
  }),
);
const script: fc.Arbitrary<Script> = fc.record({
  seed: fc.nat(),
  sealingMsMax: fc.constantFrom(0, 0, 3),
  wires: fc.array(wire, { minLength: 1, maxLength: 3 }),
  flows: fc.array(flow, { minLength: 1, maxLength: 5 }),
  accidents: fc.array(accident, { maxLength: 6 }),
  relinkMs: fc.integer({ min: 0, max: 20_000 }),
});

test("every byte arrives once and in order, whatever links die", () =>
  fc.assert(
    fc.asyncProperty(script, (each) => play(each)),
    { numRuns: 60, interruptAfterTimeLimit: 20_000 },
  ));

test("the same, on links that die all the time", () =>
  fc.assert(
    fc.asyncProperty(
      fc.record({
        seed: fc.nat(),
        everyMs: fc.integer({ min: 300, max: 3_000 }),
        noticed: fc.constantFrom<Noticed>("both", "first", "second", "neither"),
        wire,
      }),
      ({ seed, everyMs, noticed, wire: only }) =>
        play({
          seed,
          sealingMsMax: 0,
          wires: [only],
          flows: [
            {
              opener: "alice",
              priority: "bulk",
              there: 400_000,
              back: 100_000,
              pieceBytesMax: 65_536,
              readerRestsMs: 0,
            },
          ],
          accidents: Array.from({ length: 8 }, (_, i) => ({
            kind: "cut" as const,
            afterMs: i * everyMs,
            link: i,
            noticed,
          })),
          relinkMs: 100,
        }),
    ),
    { numRuns: 12, interruptAfterTimeLimit: 8_000 },
  ));

test("frames that were sealed late do not wait for a window that waits for them (seed 47514)", () =>
  play({
    seed: 0,
    sealingMsMax: 3,
    wires: [{ latencyMs: 0, bytesPerSecond: 200_000, unackedBytesMax: 262_144 }],
    flows: [
      {
        opener: "alice",
        priority: "interactive",
        there: 0,
        back: 360_037,
        pieceBytesMax: 1_000,
        readerRestsMs: 0,
      },
    ],
    accidents: [],
    relinkMs: 0,
  }));

test("a path that dies between a ping and its answer, having carried something else, is found out (seed 1264731073)", () =>
  play({
    seed: 284144831,
    sealingMsMax: 3,
    wires: [
      {
        dialler: "alice",
        kind: "relay",
        latencyMs: 69,
        jitterMs: 0,
        bytesPerSecond: 200000,
        unackedBytesMax: 262144,
      },
    ],
    flows: [
      { opener: "alice", priority: "bulk", there: 0, back: 386331, pieceBytesMax: 65536, readerRestsMs: 50 },
      { opener: "bob", priority: "interactive", there: 0, back: 148, pieceBytesMax: 1000, readerRestsMs: 50 },
    ],
    accidents: [
      {
        afterMs: 275,
        link: 3,
        kind: "add",
        wire: {
          dialler: "alice",
          kind: "tcp",
          latencyMs: 134,
          jitterMs: 20,
          bytesPerSecond: 200000,
          unackedBytesMax: 262144,
        },
      },
      { afterMs: 1783, link: 1, kind: "cut", noticed: "neither" },
      { afterMs: 2811, link: 1, kind: "destroy", by: "second" },
      {
        afterMs: 966,
        link: 4,
        kind: "add",
        wire: {
          dialler: "bob",
          kind: "overlay",
          latencyMs: 127,
          jitterMs: 32,
          bytesPerSecond: 200000,
          unackedBytesMax: 16777216,
        },
      },
      { afterMs: 3426, link: 2, kind: "close", by: "first" },
      { afterMs: 1951, link: 0, kind: "cut", noticed: "both" },
    ],
    relinkMs: 19995,
  }));
