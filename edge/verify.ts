/** Checks Ed25519 signatures. Never throws: whatever is wrong with a stranger's key or signature is "no". */
import { bufferSource } from "../shared/bytes.ts";

export async function verifySignature(
  publicKey: Uint8Array,
  bytes: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  try {
    const key = await crypto.subtle.importKey("raw", bufferSource(publicKey), "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, bufferSource(signature), bufferSource(bytes));
  } catch {
    return false; // not a point on the curve
  }
}
