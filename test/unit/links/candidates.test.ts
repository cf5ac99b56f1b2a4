import { expect, test } from "vitest";
import { candidatesOf, isPublicAddress, whyNotConnected } from "../../../peer/links/candidates.ts";

const host = (address: string, port = 5000): string =>
  `candidate:1 1 UDP 2114977791 ${address} ${port} typ host`;
const seen = (address: string, port = 5000, base = "0.0.0.0 rport 0"): string =>
  `candidate:2 1 UDP 1678769919 ${address} ${port} typ srflx raddr ${base}`;
const lent = (address: string): string =>
  `candidate:3 1 udp 1 ${address} 49152 typ relay raddr 203.0.113.1 rport 5000`;

function why(local: readonly string[], remote: readonly string[], usesStun = true): string {
  const read = (lines: readonly string[]): ReturnType<typeof candidatesOf> =>
    lines.flatMap((candidate) => candidatesOf({ kind: "candidate", candidate, mid: "0" }));
  return whyNotConnected({ local: read(local), remote: read(remote) }, { usesStun });
}

const HOME = [host("192.168.1.2"), seen("203.0.113.1")];
const OTHER_HOME = [host("192.168.1.2"), seen("198.51.100.1")];

test.each([
  ["the other side is silent", HOME, [], "no-answer"],
  ["STUN answered nothing here", [host("192.168.1.2")], OTHER_HOME, "udp-blocked"],
  ["STUN answered nothing there", HOME, [host("10.0.0.2"), host("4f2c.local")], "udp-blocked"],
  ["a carrier's inside is no public address", [host("100.64.0.9")], OTHER_HOME, "udp-blocked"],
  ["IPv4 here, IPv6 there", HOME, [host("2001:db8::2")], "no-common-family"],
  [
    "an IPv6 address beside blocked IPv4 is one",
    [host("10.0.0.2"), host("2001:db8::1")],
    [host("2001:db8::2")],
    "ice-failed",
  ],
  ["one router", HOME, [host("192.168.2.2"), seen("203.0.113.1", 6000)], "no-hairpin"],
  ["two ports of one socket here", [...HOME, seen("203.0.113.1", 5001)], OTHER_HOME, "symmetric-nat"],
  ["two ports of one socket there", HOME, [...OTHER_HOME, seen("198.51.100.1", 5001)], "symmetric-nat"],
  [
    "two sockets have two ports",
    [seen("203.0.113.1", 5000, "10.0.0.2 rport 1"), seen("203.0.113.1", 5001, "10.0.0.2 rport 2")],
    OTHER_HOME,
    "ice-failed",
  ],
  ["both are seen, and a TURN server lends", [...HOME, lent("192.0.2.9")], OTHER_HOME, "ice-failed"],
])("%s", (_, local, remote, expected) => {
  expect(why(local, remote)).toBe(expected);
});

test("without a STUN server nobody's UDP is blamed", () => {
  expect(why([host("192.168.1.2")], [host("192.168.7.2")], false)).toBe("no-stun");
});

test("candidates are found in descriptions, and what is none is left out", () => {
  const sdp = [
    "v=0",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    `a=${host("192.0.2.7")}`,
    "a=candidate:bad",
  ];
  expect(candidatesOf({ kind: "offer", sdp: sdp.join("\r\n") })).toMatchObject([
    { kind: "host", protocol: "udp", address: "192.0.2.7", port: 5000 },
  ]);
});

test.each([
  ["8.8.8.8", true],
  ["172.32.0.1", true],
  ["172.16.0.1", false],
  ["169.254.1.1", false],
  ["2606:4700::1", true],
  ["fe80::1", false],
  ["fd00::1", false],
  ["::1", false],
  ["4f2c.local", false],
])("%s is public: %s", (address, expected) => {
  expect(isPublicAddress(address)).toBe(expected);
});
