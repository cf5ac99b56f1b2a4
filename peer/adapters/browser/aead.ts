/** Sealing by WebCrypto: AES-256-GCM, off the main thread, no code of our own to load. */
import { bufferSource, concatBytes } from "../../../shared/bytes.ts";
import type { AeadKey, AeadProvider } from "../../runtime.ts";

export const browserAead: AeadProvider = {
  supported: ["aes-256-gcm"],
  async importKey(_, bytes): Promise<AeadKey> {
    const key = await crypto.subtle.importKey("raw", bufferSource(bytes), "AES-GCM", false, [
      "encrypt",
      "decrypt",
    ]);
    const algorithm = (nonce: Uint8Array, header: Uint8Array): AesGcmParams => ({
      name: "AES-GCM",
      iv: bufferSource(nonce),
      additionalData: bufferSource(header),
    });
    return {
      // WebCrypto copies what it is given before it returns the promise, so callers may use their memory again.
      async seal(nonce, header, parts) {
        const plaintext = parts.length === 1 ? (parts[0] as Uint8Array) : concatBytes(...parts);
        return [
          new Uint8Array(await crypto.subtle.encrypt(algorithm(nonce, header), key, bufferSource(plaintext))),
        ];
      },
      async open(nonce, header, sealed) {
        try {
          return new Uint8Array(
            await crypto.subtle.decrypt(algorithm(nonce, header), key, bufferSource(sealed)),
          );
        } catch {
          return undefined;
        }
      },
    };
  },
};
