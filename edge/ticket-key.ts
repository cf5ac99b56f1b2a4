/** The secret as a key. A file of its own, because tests of tickets run where there are no Durable Objects. */
import { bufferSource } from "../shared/bytes.ts";

export function importTicketKey(secret: Uint8Array): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", bufferSource(secret), { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
    "verify",
  ]);
}
