/**
 * X25519 on WebCrypto, from 32 secret bytes. WebCrypto has no raw import for private keys, so they are wrapped in the
 * fixed prefix of PKCS #8 (RFC 8410), which Node, Deno, browsers and workerd all take.
 */
import { bufferSource, concatBytes } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";

export const SECRET_BYTES = 32;
export const X25519_PUBLIC_BYTES = 32;

/** OneAsymmetricKey, version 0, algorithm id-X25519, an octet string of 32 bytes. */
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
  0x6e,
  4,
  0x22,
  4,
  0x20,
);
/** The base point, u = 9: agreeing with it gives one's own public key. */
const BASE_POINT: Uint8Array = Uint8Array.of(9, ...new Uint8Array(X25519_PUBLIC_BYTES - 1));

/** The key cannot be read back. Clamping is X25519's own first step. */
export function importAgreementKey(secret: Uint8Array): Promise<CryptoKey> {
  return crypto.subtle.importKey(
    "pkcs8",
    bufferSource(concatBytes(PKCS8_PREFIX, secret)),
    { name: "X25519" },
    false,
    ["deriveBits"],
  );
}

/**
 * The secret that both sides share, 32 bytes; hash it before use.
 * @throws PeerloomError `wire/malformed` when their key is of small order or not 32 bytes
 */
export async function agreeWith(key: CryptoKey, theirPublic: Uint8Array): Promise<Uint8Array> {
  try {
    const theirs = await crypto.subtle.importKey(
      "raw",
      bufferSource(theirPublic),
      { name: "X25519" },
      false,
      [],
    );
    return new Uint8Array(await crypto.subtle.deriveBits({ name: "X25519", public: theirs }, key, 256));
  } catch (cause) {
    throw new PeerloomError("wire/malformed", "The other side's X25519 key is unusable.", { cause });
  }
}

/** The public half of a key, found without reading it. */
export function agreementPublicOf(key: CryptoKey): Promise<Uint8Array> {
  return agreeWith(key, BASE_POINT);
}
