/** Only the target reads a signal, it knows who sent it, and it takes it once: whatever the carrier does in between. */
import { expect, test } from "vitest";
import { x25519PublicOf } from "../../../peer/identity/curve.ts";
import {
  EnvelopeOpener,
  ENVELOPES_OPENING_MAX,
  envelopeClaim,
  sealEnvelope,
} from "../../../peer/identity/envelope.ts";
import { type Identity, identityFromSeed } from "../../../peer/identity/identity.ts";
import { agreementPublicOf, agreeWith, importAgreementKey } from "../../../peer/identity/x25519.ts";
import { sealSignal, SignalOpener } from "../../../peer/links/sealed-signal.ts";
import type { SignalMessage } from "../../../peer/links/signaller.ts";
import { bufferSource, concatBytes, toHex, utf8 } from "../../../shared/bytes.ts";
import { encode } from "../../../shared/codec.ts";
import { type NetworkName, type PeerId, peerIdFromKey, requireNetworkName } from "../../../shared/ids.ts";
import { CLOCK_SKEW_MS_MAX, SIGNAL_BYTES_MAX } from "../../../shared/limits.ts";
import { countingRandom, rejectionCode, seedOf } from "./support.ts";

const NOW_MS = 1_800_000_000_000;
const network = requireNetworkName("demo");
const [alice, bob, mallory] = await Promise.all(
  [1, 2, 3].map((byte) => identityFromSeed(seedOf(byte))) as [
    Promise<Identity>,
    Promise<Identity>,
    Promise<Identity>,
  ],
);
const offer: SignalMessage = {
  kind: "rtc",
  connectionId: new Uint8Array(8).fill(7),
  signal: { kind: "offer", sdp: "v=0\r\na=fingerprint:sha-256 AA:BB\r\n" },
};

/** Drawn behind the 32 bytes of the ephemeral key. */
const MESSAGE_ID = Uint8Array.from({ length: 12 }, (_, i) => 33 + i);

function sealOffer(
  options: { readonly to?: PeerId; readonly network?: NetworkName; readonly nowMs?: number } = {},
): Promise<Uint8Array> {
  const { to = bob.id, nowMs = NOW_MS } = options;
  return sealSignal(alice, to, options.network ?? network, offer, nowMs, countingRandom());
}

function openerOf(identity: Identity, nowMs: () => number = () => NOW_MS): SignalOpener {
  return new SignalOpener({ identity, network, clock: { nowMs } });
}

test("the target learns the message and who sent it", async () => {
  expect(await openerOf(bob).open(await sealOffer())).toEqual({
    from: alice.id,
    message: offer,
    messageId: MESSAGE_ID,
  });
});

test("one may seal to oneself", async () => {
  expect((await openerOf(alice).open(await sealOffer({ to: alice.id }))).from).toBe(alice.id);
});

test("nobody else reads it, and it says nothing in clear", async () => {
  const sealed = await sealOffer();
  expect(await rejectionCode(openerOf(mallory).open(sealed))).toBe("signal/forged");
  expect(await rejectionCode(openerOf(alice).open(sealed))).toBe("signal/forged");
  for (const secret of [utf8("fingerprint"), utf8(network), alice.publicKey, bob.publicKey]) {
    expect(toHex(sealed)).not.toContain(toHex(secret));
  }
});

test("every flipped bit is noticed", async () => {
  const sealed = await sealOffer();
  const opener = openerOf(bob);
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const flipped = Uint8Array.from(sealed);
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
    expect(["signal/forged", "wire/malformed"]).toContain(await rejectionCode(opener.open(flipped)));
  }
  expect((await opener.open(sealed)).from).toBe(alice.id);
});

test("cut short, prolonged, empty and oversized signals are refused", async () => {
  const sealed = await sealOffer();
  const opener = openerOf(bob);
  for (const length of [0, 1, 32, 48, 49, sealed.length - 1]) {
    expect(["signal/forged", "wire/malformed"]).toContain(
      await rejectionCode(opener.open(sealed.subarray(0, length))),
    );
  }
  expect(await rejectionCode(opener.open(concatBytes(sealed, Uint8Array.of(0))))).toBe("signal/forged");
  expect(await rejectionCode(opener.open(new Uint8Array(SIGNAL_BYTES_MAX + 1)))).toBe("wire/too-large");
  expect(await rejectionCode(opener.open(new Uint8Array(SIGNAL_BYTES_MAX)))).toBe("wire/malformed"); // agrees on zero
});

test("a signal passes once, also when it comes twice at the same moment", async () => {
  const sealed = await sealOffer();
  const opener = openerOf(bob);
  const codes = await Promise.all([rejectionCode(opener.open(sealed)), rejectionCode(opener.open(sealed))]);
  expect(codes.sort()).toEqual(["nothing thrown", "signal/replayed"]);
  expect(await rejectionCode(opener.open(sealed))).toBe("signal/replayed");
});

test.each([
  [-CLOCK_SKEW_MS_MAX, "nothing thrown"],
  [-CLOCK_SKEW_MS_MAX - 1, "signal/stale"],
  [CLOCK_SKEW_MS_MAX, "nothing thrown"],
  [CLOCK_SKEW_MS_MAX + 1, "signal/stale"],
])("sealed %i ms off the target's clock: %s", async (offMs, code) => {
  expect(await rejectionCode(openerOf(bob).open(await sealOffer({ nowMs: NOW_MS + offMs })))).toBe(code);
});

test("nothing crosses networks", async () => {
  const sealed = await sealOffer({ network: requireNetworkName("other") });
  expect(await rejectionCode(openerOf(bob).open(sealed))).toBe("signal/forged");
});

test("one cannot seal to what is no key", async () => {
  expect(await rejectionCode(sealOffer({ to: peerIdFromKey(new Uint8Array(32)) }))).toBe("id/invalid");
});

test("a message that does not fit is refused by the sender", async () => {
  const content = new Uint8Array(SIGNAL_BYTES_MAX - 100);
  expect(await rejectionCode(sealEnvelope(alice, bob.id, network, content, NOW_MS, countingRandom()))).toBe(
    "wire/too-large",
  );
});

test("a carrier that swaps the description and seals it anew is noticed by the sender's signature", async () => {
  const swapped = {
    ...offer,
    signal: { kind: "offer" as const, sdp: "v=0\r\na=fingerprint:sha-256 EE:EE\r\n" },
  };
  // All that a meddler who knows every plaintext can do: its own ephemeral key, Alice's name, any signature it has.
  const genuine = await alice.sign(utf8("peerloom/something-else/1"));
  const content = encode(["rtc", swapped.connectionId, "offer", swapped.signal.sdp]);
  const sealed = await forge({ from: alice.publicKey, content, signature: () => Promise.resolve(genuine) });
  expect(await rejectionCode(openerOf(bob).open(sealed))).toBe("signal/forged");
});

test("a carrier that puts its own name on it is known by its own name", async () => {
  const content = encode(["addresses", ["tcp://203.0.113.9:9"]]);
  const sealed = await forge({
    from: mallory.publicKey,
    content,
    signature: (claimTo) => mallory.sign(claimTo(bob.id)),
  });
  expect((await openerOf(bob).open(sealed)).from).toBe(mallory.id);
  const inAlicesName = await forge({
    from: alice.publicKey,
    content,
    signature: (claimTo) => mallory.sign(claimTo(bob.id)),
  });
  expect(await rejectionCode(openerOf(bob).open(inAlicesName))).toBe("signal/forged");
});

test("who received a signal cannot pass it on in its sender's name", async () => {
  // Alice signed for Mallory; Mallory seals those very words and that signature to Bob.
  const content = encode(["addresses", []]);
  const sealed = await forge({
    from: alice.publicKey,
    content,
    signature: (claimTo) => alice.sign(claimTo(mallory.id)),
  });
  expect(await rejectionCode(openerOf(bob).open(sealed))).toBe("signal/forged");
});

test("what is sealed and signed well and is no signal is malformed", async () => {
  const notASignal = await sealEnvelope(alice, bob.id, network, utf8("hello"), NOW_MS, countingRandom());
  expect(await rejectionCode(openerOf(bob).open(notASignal))).toBe("wire/malformed");
  const inside = await sealRaw(encode(["too", "few", "fields"]));
  expect(await rejectionCode(openerOf(bob).open(inside))).toBe("wire/malformed");
  const record = await sealRaw(Uint8Array.of(0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01));
  expect(await rejectionCode(openerOf(bob).open(record))).toBe("wire/malformed");
});

test("a flood is refused past its bound, and what was begun ends well", async () => {
  const opener = new EnvelopeOpener({ identity: bob, network, clock: { nowMs: () => NOW_MS } });
  const random = {
    bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)),
    unit: () => 0.5,
  };
  const content = new Uint8Array(0);
  const sealed: Uint8Array[] = [];
  for (let i = 0; i < ENVELOPES_OPENING_MAX + 1; i++) {
    sealed.push(await sealEnvelope(alice, bob.id, network, content, NOW_MS, random));
  }
  const codes = await Promise.all(sealed.map((envelope) => rejectionCode(opener.open(envelope))));
  expect(codes.filter((code) => code === "nothing thrown")).toHaveLength(ENVELOPES_OPENING_MAX);
  expect(codes.filter((code) => code === "edge/rate-limited")).toHaveLength(1);
  expect(await rejectionCode(opener.open(sealed.at(-1) as Uint8Array))).toBe("nothing thrown");
});

/** Builds an envelope to Bob by hand, as somebody who does not keep to the rules would. */
async function forge(options: {
  readonly from: Uint8Array;
  readonly content: Uint8Array;
  readonly signature: (claimTo: (to: PeerId) => Uint8Array) => Promise<Uint8Array>;
}): Promise<Uint8Array> {
  const { from, content } = options;
  return sealRaw(async (ephemeral) => {
    const messageId = new Uint8Array(12).fill(4);
    const parts = { from: peerIdFromKey(from), network, timeMs: NOW_MS, messageId, ephemeral, content };
    const signature = await options.signature((to) => envelopeClaim({ ...parts, to }));
    return encode([from, network, NOW_MS, messageId, content, signature]);
  });
}

/** Independent of the code under test: seals any inside to Bob. */
async function sealRaw(
  inside: Uint8Array | ((ephemeral: Uint8Array) => Promise<Uint8Array>),
): Promise<Uint8Array> {
  const ephemeralKey = await importAgreementKey(seedOf(42));
  const ephemeral = await agreementPublicOf(ephemeralKey);
  const secret = await agreeWith(ephemeralKey, x25519PublicOf(bob.publicKey));
  const base = await crypto.subtle.importKey("raw", bufferSource(secret), "HKDF", false, ["deriveBits"]);
  const info = bufferSource(concatBytes(utf8("peerloom/signal/1"), ephemeral, utf8(bob.id)));
  const bits = await crypto.subtle.deriveBits(
    { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info },
    base,
    256,
  );
  const key = await crypto.subtle.importKey("raw", bits, "AES-GCM", false, ["encrypt"]);
  const plain = typeof inside === "function" ? await inside(ephemeral) : inside;
  const parameters = { name: "AES-GCM", iv: new Uint8Array(12), additionalData: bufferSource(ephemeral) };
  return concatBytes(
    ephemeral,
    new Uint8Array(await crypto.subtle.encrypt(parameters, key, bufferSource(plain))),
  );
}
