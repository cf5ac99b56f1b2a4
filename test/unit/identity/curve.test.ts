/** The map from Ed25519 to X25519 against published points, against WebCrypto, and what it refuses. */
import { describe, expect, test } from "vitest";
import { isPeerKey, x25519PublicOf } from "../../../peer/identity/curve.ts";
import { identityFromSeed } from "../../../peer/identity/identity.ts";
import { agreeWith, agreementPublicOf, importAgreementKey } from "../../../peer/identity/x25519.ts";
import { toHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { hex } from "./support.ts";

const P = 2n ** 255n - 19n;
/** y of a point of order 8: (u - 1) / (u + 1) for the u that cr.yp.to/ecdh.html lists. */
const ORDER_EIGHT_Y = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd83d3d706a17c7n;

test("the base point of one curve is that of the other: y = 4/5 becomes u = 9", () => {
  const base = hex("5866666666666666666666666666666666666666666666666666666666666666");
  expect(toHex(x25519PublicOf(base))).toBe(`09${"00".repeat(31)}`);
});

test("libsodium's vector for crypto_sign_ed25519_pk_to_curve25519", async () => {
  const seed = hex("421151a459faeade3d247115f94aedae42318124095afabe4d1451a559faedee");
  const { publicKey } = await identityFromSeed(seed);
  expect(toHex(publicKey)).toBe("b5076a8474a832daee4dd5b4040983b6623b5f344aca57d4d6ee4baf3f259e6e");
  expect(toHex(x25519PublicOf(publicKey))).toBe(
    "f1814f0e8ff1043d8a44d25babff3cedcae6c22c3edaa48f857ae70de2baae50",
  );
});

test("the sign of x does not matter to X25519", async () => {
  const { publicKey } = await identityFromSeed(new Uint8Array(32).fill(5));
  const negated = Uint8Array.from(publicKey);
  negated[31] = (negated[31] as number) ^ 0x80;
  expect(x25519PublicOf(negated)).toEqual(x25519PublicOf(publicKey));
});

describe("X25519 as in RFC 7748 section 6.1", () => {
  const alice = hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const bob = hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");

  test("public keys and the shared secret", async () => {
    const [a, b] = await Promise.all([importAgreementKey(alice), importAgreementKey(bob)]);
    const aPublic = await agreementPublicOf(a);
    const bPublic = await agreementPublicOf(b);
    expect(toHex(aPublic)).toBe("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    expect(toHex(bPublic)).toBe("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    const shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
    expect(toHex(await agreeWith(a, bPublic))).toBe(shared);
    expect(toHex(await agreeWith(b, aPublic))).toBe(shared);
  });

  test.each([
    ["zero", littleEndian(0n)],
    ["one", littleEndian(1n)],
    ["a point of order 8", hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")],
    ["31 bytes", new Uint8Array(31)],
  ])("agreeing with %s is refused", async (_, theirs) => {
    const error = await agreeWith(await importAgreementKey(alice), theirs).catch((caught: unknown) => caught);
    expect((error as PeerloomError).code).toBe("wire/malformed");
  });
});

test.each([
  ["the neutral element, y = 1", 1n],
  ["order 2, y = -1", P - 1n],
  ["order 4, y = 0", 0n],
  ["order 8", ORDER_EIGHT_Y],
  ["order 8, negated", P - ORDER_EIGHT_Y],
  ["not canonical, y = p", P],
  ["not canonical, y = p + 1", P + 1n],
  ["not canonical, all bits", 2n ** 255n - 1n],
])("no peer has this key: %s", (_, y) => {
  for (const signBit of [0, 0x80]) {
    const bytes = littleEndian(y);
    bytes[31] = (bytes[31] as number) | signBit;
    expect(isPeerKey(bytes)).toBe(false);
    expectInvalid(bytes);
  }
});

test("points off the curve and keys of other lengths are refused", () => {
  expectInvalid(littleEndian(2n)); // (y^2 - 1) / (d y^2 + 1) is no square for y = 2
  expectInvalid(new Uint8Array(31));
  expectInvalid(new Uint8Array(33));
  expect(isPeerKey(new Uint8Array(0))).toBe(false);
});

function expectInvalid(bytes: Uint8Array): void {
  let code = "nothing thrown";
  try {
    x25519PublicOf(bytes);
  } catch (error) {
    code = (error as PeerloomError).code;
  }
  expect(code).toBe("id/invalid");
}

function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}
