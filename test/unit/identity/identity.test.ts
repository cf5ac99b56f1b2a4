/** Signatures and agreement of one identity, against RFC 8032 and against each other. */
import { expect, test } from "vitest";
import { x25519PublicOf } from "../../../peer/identity/curve.ts";
import { generateIdentity, identityFromSeed, keysFromSeed } from "../../../peer/identity/identity.ts";
import { verify, VERIFY_KEYS_MAX, verifyKeysKept } from "../../../peer/identity/verify.ts";
import { toHex, utf8 } from "../../../shared/bytes.ts";
import { peerIdFromKey, publicKeyOf } from "../../../shared/ids.ts";
import { countingRandom, hex, rejectionCode, seedOf } from "./support.ts";

test.each([
  [
    "test 1",
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  ],
  [
    "test 2",
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  ],
])("RFC 8032 section 7.1, %s", async (_, seed, publicKey, message, signature) => {
  const identity = await identityFromSeed(hex(seed));
  expect(toHex(identity.publicKey)).toBe(publicKey);
  expect(publicKeyOf(identity.id)).toEqual(identity.publicKey);
  expect(toHex(await identity.sign(hex(message)))).toBe(signature);
  expect(await verify(identity.id, hex(message), hex(signature))).toBe(true);
});

test("two identities agree on one secret, knowing only each other's ids", async () => {
  const [a, b] = await Promise.all([identityFromSeed(seedOf(1)), identityFromSeed(seedOf(2))]);
  const secret = await a.agree(x25519PublicOf(publicKeyOf(b.id)));
  expect(secret).toHaveLength(32);
  expect(await b.agree(x25519PublicOf(publicKeyOf(a.id)))).toEqual(secret);
});

test("neither private key can be read back", async () => {
  const { signing, agreement } = await keysFromSeed(seedOf(1));
  for (const key of [signing, agreement]) {
    expect(key.extractable).toBe(false);
    await expect(crypto.subtle.exportKey("jwk", key)).rejects.toThrow();
  }
});

test("new identities differ, and come from the randomness they are given", async () => {
  const [a, b, again] = await Promise.all([
    generateIdentity(countingRandom(1)),
    generateIdentity(countingRandom(2)),
    generateIdentity(countingRandom(1)),
  ]);
  expect(a.id).not.toBe(b.id);
  expect(again.id).toBe(a.id);
});

test("a seed of another length is our own mistake", async () => {
  expect(await rejectionCode(identityFromSeed(new Uint8Array(31)))).toBe("internal/assertion");
});

test("a signature is refused when anything about it changed", async () => {
  const [a, b] = await Promise.all([identityFromSeed(seedOf(1)), identityFromSeed(seedOf(2))]);
  const bytes = utf8("to be signed");
  const signature = await a.sign(bytes);
  expect(await verify(a.publicKey, bytes, signature)).toBe(true);
  expect(await verify(b.id, bytes, signature)).toBe(false);
  expect(await verify(a.id, utf8("to be signee"), signature)).toBe(false);
  expect(await verify(a.id, bytes, signature.subarray(1))).toBe(false);
  expect(await verify(a.id, bytes, new Uint8Array(64))).toBe(false);
  expect(await verify(a.publicKey.subarray(1), bytes, signature)).toBe(false);
  for (let i = 0; i < 64; i++) {
    const flipped = Uint8Array.from(signature);
    flipped[i] = (flipped[i] as number) ^ 1;
    expect(await verify(a.id, bytes, flipped)).toBe(false);
  }
});

test("nobody signs for a key of small order, where anybody could", async () => {
  const neutral = Uint8Array.of(1, ...new Uint8Array(31));
  const signature = Uint8Array.of(1, ...new Uint8Array(63)); // R = neutral, S = 0: holds for every message
  expect(await verify(neutral, utf8("anything"), signature)).toBe(false);
  expect(await verify(peerIdFromKey(new Uint8Array(32)), utf8("anything"), signature)).toBe(false);
});

test("imported keys are kept up to their bound", async () => {
  const bytes = utf8("x");
  for (let i = 0; i < VERIFY_KEYS_MAX + 20; i++) {
    const identity = await identityFromSeed(
      Uint8Array.from({ length: 32 }, (_, j) => (j === 0 ? i & 0xff : i >> 8)),
    );
    expect(await verify(identity.id, bytes, await identity.sign(bytes))).toBe(true);
  }
  expect(verifyKeysKept()).toBe(VERIFY_KEYS_MAX);
});
