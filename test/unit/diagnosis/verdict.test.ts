import { expect, test } from "vitest";
import type { VerdictCode } from "../../../peer/api/diagnosis/finding.ts";
import { type Facts, verdict } from "../../../peer/api/diagnosis/verdict.ts";

const EDGE = { answers: true, socketOpened: true, isPrivate: false, skewMs: 20 };
const WELL: Facts = {
  edge: EDGE,
  relay: true,
  webrtc: true,
  canListen: true,
  udp: true,
  mapping: "endpoint-independent",
  peer: undefined,
};

const cases: readonly (readonly [string, Partial<Facts>, string])[] = [
  ["all is well", {}, "ok"],
  [
    "the edge comes before everything on it",
    { edge: { ...EDGE, answers: false }, udp: false, peer: "peer-gone" },
    "edge-unreachable",
  ],
  ["a proxy without WebSockets", { edge: { ...EDGE, socketOpened: false } }, "websocket-blocked"],
  ["a socket without a challenge", { edge: { ...EDGE, skewMs: undefined } }, "edge-refuses"],
  [
    "an edge of private networks only",
    { edge: { ...EDGE, isPrivate: true, skewMs: undefined }, relay: undefined },
    "ok",
  ],
  ["a clock behind", { edge: { ...EDGE, skewMs: -121_000 }, udp: false }, "clock-wrong"],
  ["a clock just good enough", { edge: { ...EDGE, skewMs: 119_000 } }, "ok"],
  ["one peer was asked for, and is gone", { peer: "peer-gone", udp: false }, "peer-gone"],
  [
    "one peer was asked for, and is reached in spite of all",
    { peer: "ok", udp: false, mapping: "symmetric" },
    "ok",
  ],
  ["no WebRTC", { webrtc: false, udp: false }, "webrtc-unavailable"],
  ["no UDP", { udp: false, mapping: "unknown" }, "udp-blocked"],
  ["no relay", { relay: false }, "relay-unavailable"],
  ["a symmetric NAT", { mapping: "symmetric" }, "symmetric-nat"],
  ["nothing to ask", { edge: undefined, relay: undefined, udp: undefined, mapping: "unknown" }, "no-edge"],
  ["STUN alone", { edge: undefined, relay: undefined }, "ok"],
];

test.each(cases)("%s", (_, change, code) => {
  const said = verdict({ ...WELL, ...change });
  expect(said.code).toBe(code);
  expect(said.advice).not.toBe("");
});

test.each<VerdictCode>([
  "no-edge",
  "edge-unreachable",
  "websocket-blocked",
  "edge-refuses",
  "webrtc-unavailable",
  "relay-unavailable",
  "network-refuses",
  "peer-gone",
  "peer-silent",
  "peer-unreachable",
  "no-answer",
  "no-stun",
  "udp-blocked",
  "no-common-family",
  "no-hairpin",
  "symmetric-nat",
  "ice-failed",
])("in a page %s comes with no option of the command line", (code) => {
  expect(verdict({ ...WELL, peer: code, canListen: false }).advice).not.toMatch(/--\w|data folder/);
});
