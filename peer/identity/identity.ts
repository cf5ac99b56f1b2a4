/**
 * Who a peer is: an Ed25519 key pair that signs, and the X25519 key of the same seed that agrees on secrets. Both come
 * from 32 random bytes as libsodium's `crypto_sign_ed25519_sk_to_curve25519` does it, so that the X25519 public key
 * follows from the peer id (curve.ts). The private halves are WebCrypto keys that cannot be read back.
 * Keeping an identity is the matter of identity-store.ts.
 */
import { bufferSource, concatBytes, fromBase64Url } from "../../shared/bytes.ts";
import { assert } from "../../shared/errors.ts";
import { type PeerId, peerIdFromKey, PUBLIC_KEY_BYTES } from "../../shared/ids.ts";
import type { Random } from "../runtime.ts";
import { x25519PublicOf } from "./curve.ts";
import { agreeWith, importAgreementKey, SECRET_BYTES } from "./x25519.ts";

export const SEED_BYTES: number = SECRET_BYTES;

export interface Identity {
  readonly id: PeerId;
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** X25519, 32 bytes: what follows from the one above (`x25519PublicOf`), reckoned once. */
  readonly agreementKey: Uint8Array;
  /** An Ed25519 signature, 64 bytes. */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
  /**
   * The X25519 secret shared with the holder of that public key, 32 bytes; hash it before use.
   * @throws PeerloomError `wire/malformed` when their key is unusable
   */
  agree(theirX25519Public: Uint8Array): Promise<Uint8Array>;
}

/** The WebCrypto keys of one identity, neither readable. */
export interface IdentityKeys {
  readonly publicKey: Uint8Array;
  readonly signing: CryptoKey;
  readonly agreement: CryptoKey;
}

/** A new identity that ends with the process. */
export async function generateIdentity(random: Random): Promise<Identity> {
  return identityFromSeed(random.bytes(SEED_BYTES));
}

/**
 * The identity of a seed, always the same one.
 * @example
 * const identity = await identityFromSeed(crypto.getRandomValues(new Uint8Array(32)));
 */
export async function identityFromSeed(seed: Uint8Array): Promise<Identity> {
  return identityFromKeys(await keysFromSeed(seed));
}

export function identityFromKeys({ publicKey, signing, agreement }: IdentityKeys): Identity {
  return {
    id: peerIdFromKey(publicKey),
    publicKey,
    agreementKey: x25519PublicOf(publicKey),
    async sign(bytes) {
      return new Uint8Array(await crypto.subtle.sign("Ed25519", signing, bufferSource(bytes)));
    },
    agree: (theirX25519Public) => agreeWith(agreement, theirX25519Public),
  };
}

/** PKCS #8 of RFC 8410 around the seed, as in x25519.ts, with id-Ed25519. */
const PKCS8_PREFIX: Uint8Array = Uint8Array.of(
  0x30,
  0x2e,
  2,
  1,
  0,
  0x30,
  5,
  6,
  3,
  0x2b,
  0x65,
  0x70,
  4,
  0x22,
  4,
  0x20,
);

export async function keysFromSeed(seed: Uint8Array): Promise<IdentityKeys> {
  assert(seed.length === SEED_BYTES, "a seed has 32 bytes");
  const pkcs8 = bufferSource(concatBytes(PKCS8_PREFIX, seed));
  // Only a readable key tells its public half, so one is made for that and let go.
  const readable = await crypto.subtle.importKey("pkcs8", pkcs8, { name: "Ed25519" }, true, ["sign"]);
  const { x } = await crypto.subtle.exportKey("jwk", readable);
  const publicKey = fromBase64Url(x ?? "");
  assert(publicKey?.length === PUBLIC_KEY_BYTES, "WebCrypto tells the public half of an Ed25519 key");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-512", bufferSource(seed)));
  return {
    publicKey,
    signing: await crypto.subtle.importKey("pkcs8", pkcs8, { name: "Ed25519" }, false, ["sign"]),
    agreement: await importAgreementKey(digest.subarray(0, SECRET_BYTES)),
  };
}
