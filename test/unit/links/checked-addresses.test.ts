import { expect, test } from "vitest";
import { candidatesOf } from "../../../peer/links/candidates.ts";
import { CheckedAddresses } from "../../../peer/links/checked-addresses.ts";

/** Those of the candidates that are tried when the other side has said so many bytes. */
function tried(saidBytes: number, ...candidates: readonly string[]): string[] {
  const checked = new CheckedAddresses();
  checked.said(saidBytes);
  return candidates.filter((text) => {
    const [candidate] = candidatesOf({ kind: "candidate", candidate: text, mid: "0" });
    return candidate !== undefined && checked.admits(candidate);
  });
}

const at = (address: string, port: number, protocol = "udp"): string =>
  `candidate:1 1 ${protocol} 1 ${address} ${port} typ host`;

test("an address is tried at one port for each 500 bytes that were said and carried", () => {
  const ports = [1, 2, 3, 4].map((port) => at("203.0.113.1", port));
  expect(tried(467, ...ports)).toEqual([]);
  expect(tried(468, ...ports)).toEqual(ports.slice(0, 1));
  expect(tried(967, ...ports)).toEqual(ports.slice(0, 1));
  expect(tried(968, ...ports)).toEqual(ports.slice(0, 2));
  expect(tried(1_500, ...ports)).toEqual(ports.slice(0, 3));
});

test("what is said later pays for later candidates", () => {
  const checked = new CheckedAddresses();
  const candidates = [1, 2].flatMap((port) =>
    candidatesOf({ kind: "candidate", candidate: at("203.0.113.1", port), mid: "0" }),
  );
  checked.said(600);
  expect(candidates.map((one) => checked.admits(one))).toEqual([true, false]);
  checked.said(600);
  expect(candidates.map((one) => checked.admits(one))).toEqual([true, false]);
});

test("other addresses, and TCP, are counted apart", () => {
  const different = [
    at("203.0.113.1", 1),
    at("203.0.113.2", 1),
    at("2001:db8::1", 1),
    at("203.0.113.1", 9, "tcp"),
    at("cd3a96d4-737f-4af6-91d5-8baa5c4a3a77.local", 1),
  ];
  expect(tried(500, ...different)).toEqual(different);
});

test.each([
  ["2001:db8::1", "2001:0DB8:0:0::1"],
  ["fe80::1", "fe80::1%eth0"],
  ["2001:db8::102:304", "2001:db8::1.2.3.4"],
  ["a.local", "A.LOCAL"],
])("%s and %s are one address", (one, other) => {
  expect(tried(500, at(one, 1), at(other, 2))).toEqual([at(one, 1)]);
});

test.each([
  "example.com",
  "local",
  "a.b.local",
  "0177.0.0.1",
  "127.1",
  "1.2.3.256",
  "::ffff:1.2.3.4",
  "::ffff:7f00:1",
  "[::1]",
  "::1]",
  ":",
])("%s is never tried", (address) => {
  expect(tried(5_000, at(address, 1))).toEqual([]);
});
