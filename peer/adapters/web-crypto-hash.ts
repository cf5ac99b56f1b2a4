/** Hashing by WebCrypto, for browsers and simulations. */
import { bufferSource, sha256 } from "../../shared/bytes.ts";
import type { HashProvider } from "../runtime.ts";

export const webCryptoHash: HashProvider = {
  sha256,
  async hkdf(secret, salt, info, length) {
    const key = await crypto.subtle.importKey("raw", bufferSource(secret), "HKDF", false, ["deriveBits"]);
    const algorithm = { name: "HKDF", hash: "SHA-256", salt: bufferSource(salt), info: bufferSource(info) };
    return new Uint8Array(await crypto.subtle.deriveBits(algorithm, key, length * 8));
  },
};
