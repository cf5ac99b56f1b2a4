/**
 * Sealing for simulations: quick, and strict about what a real cipher is strict about (key, nonce, header, every bit of
 * the text), but a toy that protects from nobody. With `delayMsMax` answers come later and out of order, as they do from
 * WebCrypto in a browser.
 */
import type { AeadKey, AeadName, AeadProvider, Clock, Random } from "../../runtime.ts";

const TAG_BYTES = 16;
const NONCE_BYTES = 12;
const LANES = 4;

export interface SimAeadOptions {
  /** Best first. @default ["aes-256-gcm"] */
  readonly supported?: readonly AeadName[];
  /** Answers take up to so long; at once without it. */
  readonly later?: { readonly clock: Clock; readonly random: Random; readonly delayMsMax: number };
}

export function simAead({ supported = ["aes-256-gcm"], later }: SimAeadOptions = {}): AeadProvider {
  return {
    supported,
    importKey(_name, keyBytes) {
      const key = toyKey(keyBytes.slice());
      return later === undefined ? key : delayed(key, later);
    },
  };
}

function toyKey(key: Uint8Array): ToyKey {
  return {
    seal(nonce, header, parts) {
      requireNonce(nonce);
      let length = 0;
      for (const part of parts) length += part.length;
      const sealed = new Uint8Array(length + TAG_BYTES);
      let offset = 0;
      for (const part of parts) {
        sealed.set(part, offset);
        offset += part.length;
      }
      const text = sealed.subarray(0, length);
      mask(text, key, nonce);
      sealed.set(tagOf(key, nonce, header, text), length);
      return [text, sealed.subarray(length)];
    },
    open(nonce, header, sealed) {
      requireNonce(nonce);
      const length = sealed.length - TAG_BYTES;
      if (length < 0) return undefined;
      const text = sealed.slice(0, length);
      const tag = tagOf(key, nonce, header, text);
      for (let i = 0; i < TAG_BYTES; i++) if (tag[i] !== sealed[length + i]) return undefined;
      mask(text, key, nonce);
      return text;
    },
  };
}

/** As AeadKey, with answers at once. */
interface ToyKey {
  seal(nonce: Uint8Array, header: Uint8Array, parts: readonly Uint8Array[]): Uint8Array[];
  open(nonce: Uint8Array, header: Uint8Array, sealed: Uint8Array): Uint8Array | undefined;
}

function delayed(key: ToyKey, { clock, random, delayMsMax }: NonNullable<SimAeadOptions["later"]>): AeadKey {
  const answerLater = <T>(value: T): Promise<T> =>
    new Promise((resolve) => clock.setTimer(random.unit() * delayMsMax, () => resolve(value)));
  return {
    seal: (nonce, header, parts) => answerLater(key.seal(nonce, header, parts)),
    open: (nonce, header, sealed) => answerLater(key.open(nonce, header, sealed)),
  };
}

function requireNonce(nonce: Uint8Array): void {
  if (nonce.length !== NONCE_BYTES) throw new TypeError("A nonce has 12 bytes.");
}

/** Adds a key stream, which also takes it away again. */
function mask(text: Uint8Array, key: Uint8Array, nonce: Uint8Array): void {
  let state = absorb(absorb(0x6a09e667, key), nonce);
  for (let i = 0; i < text.length; i += 4) {
    // xorshift32 steps, spread by a multiplication.
    state ^= state << 13;
    state ^= state >>> 17;
    state = state ^ (state << 5) || 0x2545f491;
    const word = Math.imul(state, 0x9e3779b1);
    for (let j = i, shift = 24; shift >= 0 && j < text.length; j++, shift -= 8) {
      text[j] = (text[j] as number) ^ (word >>> shift);
    }
  }
}

function tagOf(key: Uint8Array, nonce: Uint8Array, header: Uint8Array, text: Uint8Array): Uint8Array {
  const tag = new Uint8Array(TAG_BYTES);
  const view = new DataView(tag.buffer);
  for (let lane = 0; lane < LANES; lane++) {
    let hash = absorb(absorb(0x510e527f + lane, key), nonce);
    hash = absorb(absorb(hash ^ header.length, header), text);
    view.setUint32(lane * 4, absorb(hash ^ text.length, key));
  }
  return tag;
}

/** FNV-1a with a last mixing step (murmur3's), so that the last byte moves every bit. */
function absorb(start: number, bytes: Uint8Array): number {
  let hash = start | 0;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
