/** Rendezvous messages against their byte vectors, and what the decoders make of a stranger's bytes. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { importTicketKey } from "../../edge/ticket-key.ts";
import { isGenuine, mintTicket, readTicket, type RelayTicket } from "../../edge/tickets.ts";
import { fromHex, toHex } from "../../shared/bytes.ts";
import { encode } from "../../shared/codec.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { type NetworkName, publicKeyOf, requirePeerId } from "../../shared/ids.ts";
import { ADDRESSES_MAX, RENDEZVOUS_MESSAGE_BYTES_MAX, SIGNAL_BYTES_MAX } from "../../shared/limits.ts";
import {
  decodeFromRendezvous,
  decodeToRendezvous,
  encodeFromRendezvous,
  encodeToRendezvous,
  type FromRendezvous,
  joinClaim,
  type ToRendezvous,
} from "../../shared/messages.ts";

interface Vector {
  readonly message: Record<string, unknown>;
  readonly hex: string;
}

interface Vectors {
  readonly claim: Record<"seed" | "id" | "nonce" | "origin" | "claim" | "signature", string> & {
    network: NetworkName;
    timeMs: number;
  };
  readonly tickets: readonly (RelayTicket & { readonly secret: string; readonly text: string })[];
  /** As edges one version back made them. */
  readonly ticketsBefore: Vectors["tickets"];
  readonly toRendezvous: readonly Vector[];
  readonly fromRendezvous: readonly Vector[];
}

const vectors = JSON.parse(
  readFileSync(new URL("./vectors/rendezvous.json", import.meta.url), "utf8"),
) as Vectors;

function bytes(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(fromHex(hex) ?? []);
}

/** The message a vector shows: `{hex}` is bytes. */
function revive(message: Record<string, unknown>): unknown {
  const isBytes = (value: unknown): value is { hex: string } =>
    typeof value === "object" && value !== null && "hex" in value;
  return Object.fromEntries(
    Object.entries(message).map(([name, value]) => [name, isBytes(value) ? bytes(value.hex) : value]),
  );
}

describe("vectors", () => {
  for (const [index, { message, hex }] of vectors.toRendezvous.entries()) {
    test(`to the rendezvous: ${String(message["kind"])} (${index})`, () => {
      expect(toHex(encodeToRendezvous(revive(message) as ToRendezvous))).toBe(hex);
      expect(decodeToRendezvous(bytes(hex))).toEqual(revive(message));
    });
  }
  for (const [index, { message, hex }] of vectors.fromRendezvous.entries()) {
    test(`from the rendezvous: ${String(message["kind"])} (${index})`, () => {
      expect(toHex(encodeFromRendezvous(revive(message) as FromRendezvous))).toBe(hex);
      expect(decodeFromRendezvous(bytes(hex))).toEqual(revive(message));
    });
  }

  test("the claim that a join signs", async () => {
    const { claim, signature, nonce, id, ...rest } = vectors.claim;
    const signed = Uint8Array.from(joinClaim({ ...rest, nonce: bytes(nonce) }));
    expect(toHex(signed)).toBe(claim);
    const key = await crypto.subtle.importKey(
      "raw",
      Uint8Array.from(publicKeyOf(requirePeerId(id))),
      "Ed25519",
      false,
      ["verify"],
    );
    expect(await crypto.subtle.verify("Ed25519", key, bytes(signature), signed)).toBe(true);
  });

  for (const [index, { secret, text, ...ticket }] of vectors.tickets.entries()) {
    test(`the ticket of side ${ticket.side} (${index})`, async () => {
      const key = await importTicketKey(bytes(secret));
      expect(await mintTicket(ticket, key)).toBe(text);
      expect(readTicket(text)).toEqual(ticket);
      expect(await isGenuine(text, key)).toBe(true);
      expect(await isGenuine(text, await importTicketKey(bytes(`${secret}01`)))).toBe(false);
      const message = { kind: "relay-ready", request: 1, channel: ticket.channel, ticket: text } as const;
      expect(decodeFromRendezvous(encodeFromRendezvous(message))).toEqual(message); // the longest fits
    });
  }

  for (const { secret, text, ...ticket } of vectors.ticketsBefore) {
    test("the ticket of an edge one version back", async () => {
      expect(readTicket(text)).toEqual(ticket);
      expect(await isGenuine(text, await importTicketKey(bytes(secret)))).toBe(true);
    });
  }
});

describe("strangers' bytes", () => {
  const outcome = (decode: (input: Uint8Array) => unknown, input: Uint8Array): string => {
    try {
      decode(input);
      return "decoded";
    } catch (error) {
      return error instanceof PeerloomError ? error.code : "crash";
    }
  };

  test("any bytes are a message or a typed error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (input) => {
        for (const decode of [decodeToRendezvous, decodeFromRendezvous]) {
          expect(["decoded", "wire/malformed"]).toContain(outcome(decode, input));
        }
      }),
    );
  });

  test("a vector with one byte changed, cut short or continued is a message or a typed error", () => {
    const all = [...vectors.toRendezvous, ...vectors.fromRendezvous].map(({ hex }) => bytes(hex));
    fc.assert(
      fc.property(
        fc.constantFrom(...all),
        fc.nat(),
        fc.nat(255),
        fc.nat(400),
        (vector, at, value, length) => {
          const input = vector.slice();
          input[at % input.length] = value;
          const longer = new Uint8Array(length);
          longer.set(input.subarray(0, length));
          for (const decode of [decodeToRendezvous, decodeFromRendezvous]) {
            expect(["decoded", "wire/malformed"]).toContain(outcome(decode, input));
            expect(["decoded", "wire/malformed"]).toContain(outcome(decode, longer));
          }
        },
      ),
    );
  });

  const id = vectors.claim.id;
  const refused: Record<string, unknown> = {
    "a request number of zero": ["find", 0, id],
    "a request number that is no integer": ["find", 1.5, id],
    "an id that is no id": ["find", 1, "nobody"],
    "a signature that is too short": ["join", 1, id, 0, new Uint8Array(63), true, []],
    "a time before 1970": ["join", 1, id, -1, new Uint8Array(64), true, []],
    "too many addresses": ["addresses", Array.from({ length: ADDRESSES_MAX + 1 }, () => "tcp://a:1")],
    "an address that is too long": ["addresses", ["a".repeat(129)]],
    "an address that is a number": ["addresses", [1]],
    "an empty signal": ["signal", 1, id, new Uint8Array(0)],
    "a signal that is too long": ["signal", 1, id, new Uint8Array(SIGNAL_BYTES_MAX + 1)],
    "a field too few": ["signal", 1, id],
    "a map": { kind: "find" },
    "a number": 1,
  };
  for (const [what, value] of Object.entries(refused)) {
    test(`${what} is malformed`, () =>
      expect(outcome(decodeToRendezvous, encode(value))).toBe("wire/malformed"));
  }

  test("a message that is too long is not looked at", () => {
    expect(outcome(decodeToRendezvous, new Uint8Array(RENDEZVOUS_MESSAGE_BYTES_MAX + 1))).toBe(
      "wire/too-large",
    );
  });

  test("any text is no ticket, and a damaged ticket is no crash", () => {
    const tickets = [...vectors.tickets, ...vectors.ticketsBefore].map(({ text }) => text);
    fc.assert(
      fc.property(fc.string(), fc.constantFrom(...tickets), fc.nat(400), (text, ticket, at) => {
        expect(readTicket(text)).toBeUndefined();
        readTicket(ticket.slice(0, at));
        readTicket(`${ticket.slice(0, at)}_${ticket.slice(at + 1)}`);
      }),
    );
  });
});
