/**
 * Checks Ed25519 signatures. Keys of small order are refused before WebCrypto sees them: Deno's accepts signatures
 * under them that anybody can make. Imported keys are kept for a while, since the same few peers sign again and again.
 */
import { bufferSource } from "../../shared/bytes.ts";
import { type PeerId, peerIdFromKey, PUBLIC_KEY_BYTES, publicKeyOf } from "../../shared/ids.ts";
import { isPeerKey } from "./curve.ts";

export const SIGNATURE_BYTES = 64;

/** Imported keys kept; past that the one not used for longest is dropped, and imported again when it returns. */
export const VERIFY_KEYS_MAX = 256;

const keys = new Map<PeerId, CryptoKey>();

/** True when `signer` signed these bytes. Never throws: whatever is wrong with a stranger's key or signature is "no". */
export async function verify(
  signer: PeerId | Uint8Array,
  bytes: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  if (signature.length !== SIGNATURE_BYTES) return false;
  const publicKey = typeof signer === "string" ? publicKeyOf(signer) : signer;
  if (publicKey.length !== PUBLIC_KEY_BYTES) return false;
  const key = await importedKey(publicKey);
  if (key === undefined) return false;
  try {
    return await crypto.subtle.verify("Ed25519", key, bufferSource(signature), bufferSource(bytes));
  } catch {
    return false; // Hosts differ in whether a point off the curve fails at import or here.
  }
}

/** How many keys are kept now. */
export function verifyKeysKept(): number {
  return keys.size;
}

async function importedKey(publicKey: Uint8Array): Promise<CryptoKey | undefined> {
  const id = peerIdFromKey(publicKey);
  const kept = keys.get(id);
  if (kept !== undefined) {
    keys.delete(id);
    keys.set(id, kept);
    return kept;
  }
  if (!isPeerKey(publicKey)) return undefined;
  try {
    const key = await crypto.subtle.importKey("raw", bufferSource(publicKey), { name: "Ed25519" }, false, [
      "verify",
    ]);
    keys.set(id, key);
    if (keys.size > VERIFY_KEYS_MAX) keys.delete(keys.keys().next().value as PeerId);
    return key;
  } catch {
    return undefined;
  }
}
