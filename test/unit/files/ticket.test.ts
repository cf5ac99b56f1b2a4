/** Tickets: one text for one ticket, and no text that is nearly one. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { formatTicket, parseTicket, type Ticket } from "../../../peer/services/files/ticket.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { DEFAULT_NETWORK, peerIdFromKey } from "../../../shared/ids.ts";

const id = peerIdFromKey(new Uint8Array(32).fill(7));
const TICKET: Ticket = {
  hash: new Uint8Array(32).fill(0xab),
  network: DEFAULT_NETWORK,
  name: "film.mkv",
  bytes: 3_000_000_000,
  providers: [{ id, addresses: ["tcp://192.0.2.1:4000"] }],
  edge: "https://edge.example",
};
const TEXT =
  "peerloom:get/lwHEIKurq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urpG1haW6oZmlsbS5ta3bOstBeALRodHRwczovL2VkZ2UuZXhhbXBsZZGSxCAHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHB5G0dGNwOi8vMTkyLjAuMi4xOjQwMDA";

test("a ticket is this text, also at the end of a link", () => {
  expect(formatTicket(TICKET)).toBe(TEXT);
  expect(parseTicket(TEXT)).toEqual(TICKET);
  expect(parseTicket(` ${TEXT}\n`)).toEqual(TICKET);
  const link = `https://edge.example/#get=${TEXT.slice("peerloom:get/".length)}`;
  expect(parseTicket(link)).toEqual(TICKET);
  const pure = { ...TICKET, edge: undefined, providers: [] };
  expect(parseTicket(formatTicket(pure))).toEqual(pure);
});

test("cut short anywhere it is none", () => {
  for (let length = 0; length < TEXT.length; length++) {
    expect(() => parseTicket(TEXT.slice(0, length))).toThrow(
      expect.objectContaining({ code: "files/ticket-invalid" }),
    );
  }
});

test.each([
  ["another scheme", TEXT.replace("peerloom:", "magnet:")],
  ["a link to somewhere else", `ftp://edge.example/#get=${TEXT.slice(13)}`],
  ["a name that leaves the folder", formatTicket({ ...TICKET, name: "../x" })],
  ["more bytes than there can be", formatTicket({ ...TICKET, bytes: 2 ** 41 })],
  ["a hash too short", formatTicket({ ...TICKET, hash: new Uint8Array(31) })],
  ["an edge that is none", formatTicket({ ...TICKET, edge: "javascript:alert(1)" })],
  ["too long", TEXT + "A".repeat(8192)],
])("%s is refused", (_, text) => {
  expect(() => parseTicket(text)).toThrow(expect.objectContaining({ code: "files/ticket-invalid" }));
});

test("any changed letter gives another ticket or none, and never anything else", () => {
  fc.assert(
    fc.property(fc.nat(TEXT.length - 14), fc.constantFrom(...Array.from("ABCxyz019-_+/= ")), (at, letter) => {
      const changed = TEXT.slice(0, 13 + at) + letter + TEXT.slice(14 + at);
      try {
        const parsed = parseTicket(changed);
        expect(parseTicket(formatTicket(parsed))).toEqual(parsed);
      } catch (error) {
        expect(error).toBeInstanceOf(PeerloomError);
      }
    }),
    { numRuns: 1_000 },
  );
});
