/** Hashing by OpenSSL, on the spot. */
import { createHash, hkdfSync } from "node:crypto";
import type { HashProvider } from "../../runtime.ts";
import { plainView } from "./memory.ts";

export const nodeHash: HashProvider = {
  sha256: (bytes) => plainView(createHash("sha256").update(bytes).digest()),
  hkdf: (secret, salt, info, length) => new Uint8Array(hkdfSync("sha256", secret, salt, info, length)),
};
