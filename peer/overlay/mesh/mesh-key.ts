/**
 * Where a peer stands in the overlay: the first 52 bits of SHA-256(public key), as a number. Distance is XOR (Kademlia: Maymounkov
 * and Mazières, IPTPS 2002). 52 bits fit a double exactly; among a million peers two share them with probability 1e-4, and
 * what is sealed to one of the two the other cannot open.
 */
import { assert } from "../../../shared/errors.ts";

/** A whole number in [0, 2^52). */
export type MeshKey = number;

export const KEY_BITS = 52;
const KEY_COUNT: number = 2 ** KEY_BITS;
const WORD: number = 2 ** 32;

/** From a peer's overlay key, SHA-256 of its public key. */
export function meshKeyOf(overlayKey: Uint8Array): MeshKey {
  assert(overlayKey.length >= 7, "an overlay key is a hash");
  let key = 0;
  for (let i = 0; i < 6; i++) key = key * 256 + (overlayKey[i] as number);
  return key * 16 + ((overlayKey[6] as number) >>> 4);
}

export function isMeshKey(value: unknown): value is MeshKey {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < KEY_COUNT;
}

/** The upper 20 bits. */
export function highBits(key: MeshKey): number {
  return Math.floor(key / WORD);
}

export function distance(a: MeshKey, b: MeshKey): number {
  return (highBits(a) ^ highBits(b)) * WORD + ((a ^ b) >>> 0);
}

/** Leading bits that two keys share; `KEY_BITS` when they are equal. */
export function sharedBits(a: MeshKey, b: MeshKey): number {
  const high = highBits(a) ^ highBits(b);
  if (high !== 0) return Math.clz32(high) - (32 - (KEY_BITS - 32));
  return KEY_BITS - 32 + Math.clz32(a ^ b);
}
