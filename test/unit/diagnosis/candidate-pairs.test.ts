/** Which pairs an ICE agent has tried, and why each has failed, from what both sides offered. */
import { expect, test } from "vitest";
import { candidatePairs, type Negotiated } from "../../../peer/api/diagnosis/candidate-pairs.ts";
import { candidatesOf, type IceCandidate } from "../../../peer/links/candidates.ts";

const one = (text: string): IceCandidate =>
  candidatesOf({ kind: "candidate", candidate: `candidate:1 1 udp 1 ${text}`, mid: "0" })[0] as IceCandidate;
const host = (address: string, port = 5000): IceCandidate => one(`${address} ${port} typ host`);
const seen = (address: string, port: number, base = "10.0.0.2"): IceCandidate =>
  one(`${address} ${port} typ srflx raddr ${base} rport 5000`);
const turn = (address: string): IceCandidate => one(`${address} 6000 typ relay raddr 0.0.0.0 rport 0`);

function outcomes(negotiated: Partial<Negotiated> & Pick<Negotiated, "candidates">): string[] {
  return candidatePairs({ failure: "ice-failed", chosen: undefined, ...negotiated }).map(
    ({ here, there, outcome }) => `${here.address} > ${there.address}:${there.port} ${outcome}`,
  );
}

test("what STUN has shown is sent from its own socket, and families are kept apart", () => {
  const local = [host("10.0.0.2"), seen("192.0.2.1", 40_000), host("2001:db8::2")];
  const remote = [host("10.9.0.3"), seen("198.51.100.1", 41_000, "10.9.0.3"), host("2001:db8:1::3")];
  expect(outcomes({ candidates: { local, remote } })).toEqual([
    "10.0.0.2 > 10.9.0.3:5000 a private address, elsewhere or shut off",
    "10.0.0.2 > 198.51.100.1:41000 no answer",
    "2001:db8::2 > 2001:db8:1::3:5000 no answer",
  ]);
});

test("a hidden address may be of either family", () => {
  const local = [host("cd3a96d4-737f-4af6-91d5-8baa5c4a3a77.local")];
  const remote = [host("2001:db8:1::3"), host("198.51.100.7")];
  expect(
    candidatePairs({ failure: "ice-failed", candidates: { local, remote }, chosen: undefined }),
  ).toHaveLength(2);
});

test("each NAT that moves is named, and one router before both", () => {
  const local = [host("10.0.0.2"), seen("192.0.2.1", 40_000)];
  const moving = [seen("198.51.100.1", 41_000), seen("198.51.100.1", 42_000)];
  expect(outcomes({ candidates: { local, remote: [moving[0]!, turn("203.0.113.9"), moving[1]!] } })).toEqual([
    "10.0.0.2 > 198.51.100.1:41000 the NAT there has another port for each destination",
    "10.0.0.2 > 203.0.113.9:6000 no answer",
    "10.0.0.2 > 198.51.100.1:42000 the NAT there has another port for each destination",
  ]);
  const movingHere = [host("10.0.0.2"), seen("192.0.2.1", 40_000), seen("192.0.2.1", 40_001)];
  expect(outcomes({ candidates: { local: movingHere, remote: [seen("198.51.100.1", 41_000)] } })).toEqual([
    "10.0.0.2 > 198.51.100.1:41000 the NAT here has another port for each destination",
  ]);
  expect(outcomes({ candidates: { local, remote: [seen("192.0.2.1", 43_000, "10.0.0.3")] } })).toEqual([
    "10.0.0.2 > 192.0.2.1:43000 one router is before both, and does not turn packets round",
  ]);
});

test("UDP that is shut off, and what was not tried at all", () => {
  const remote = [host("198.51.100.7"), host("198.51.100.7", 5001)];
  const candidates = { local: [host("10.0.0.2")], remote, untried: remote.slice(1) };
  expect(outcomes({ candidates, failure: "udp-blocked" })).toEqual([
    "10.0.0.2 > 198.51.100.7:5000 no answer: UDP is shut off on one side at least",
    "10.0.0.2 > 198.51.100.7:5001 not tried: too little was said for so many ports of one address",
  ]);
});

test("the one that connected, and those that were not needed", () => {
  const candidates = { local: [host("10.0.0.2")], remote: [host("10.0.0.9"), seen("198.51.100.1", 41_000)] };
  expect(outcomes({ candidates, failure: undefined, chosen: "10.0.0.9:5000" })).toEqual([
    "10.0.0.2 > 10.0.0.9:5000 connected",
    "10.0.0.2 > 198.51.100.1:41000 not needed",
  ]);
});

test("nothing fits", () => {
  expect(outcomes({ candidates: { local: [host("10.0.0.2")], remote: [host("2001:db8::3")] } })).toEqual([]);
});
