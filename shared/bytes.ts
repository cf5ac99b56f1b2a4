/**
 * Bytes: the handful of conversions that every layer needs, without `Buffer`, so they run in browsers and in workerd.
 */

const textEncoder = new TextEncoder();
// Without `ignoreBOM` a leading U+FEFF is swallowed, and text would not come back as it was.
const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function utf8(text: string): Uint8Array {
  return textEncoder.encode(text);
}

/** @throws TypeError on invalid UTF-8: text from the wire is refused, not repaired. */
export function utf8Decode(bytes: Uint8Array): string {
  return textDecoder.decode(bytes);
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** 16 bits, big-endian. */
export function readUint16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] as number) << 8) | (bytes[offset + 1] as number);
}

/** 32 bits, big-endian. Without a DataView, whose making moves a small array's memory out of the heap. */
export function readUint32(bytes: Uint8Array, offset: number): number {
  const octet = (at: number): number => bytes[offset + at] as number;
  return ((octet(0) << 24) | (octet(1) << 16) | (octet(2) << 8) | octet(3)) >>> 0;
}

/** 32 bits, big-endian. */
export function writeUint32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 24;
  bytes[offset + 1] = value >>> 16;
  bytes[offset + 2] = value >>> 8;
  bytes[offset + 3] = value;
}

/** Below this a collector is as quick. */
export const GIVE_BACK_BYTES_MIN = 4096;

/**
 * Gives memory back that nobody looks at again; all views of it become empty. What sockets read and ciphers make lies
 * outside the heap, and only a full garbage collection would free it: at hundreds of MB/s one every 20 MB, up to half of
 * a transfer's CPU time. Only bytes that fill their buffer are touched: the rest may be somebody else's.
 */
export function giveBack(bytes: Uint8Array): void {
  // First, since to ask a small array for its buffer moves its memory out of the heap.
  if (bytes.byteLength < GIVE_BACK_BYTES_MIN) return;
  const { buffer } = bytes;
  if (bytes.byteLength !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/** Equality whose duration does not depend on where the first difference is. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number);
  return difference === 0;
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX[byte] as string;
  return text;
}

export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(text)) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(i * 2, i * 2 + 2), 16);
  return bytes;
}

const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

/** RFC 4648 base32, lower case, without padding. */
export function toBase32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += BASE32[(value >>> bits) & 31];
    }
    value &= 0xff;
  }
  if (bits > 0) text += BASE32[(value << (5 - bits)) & 31];
  return text;
}

/** The bytes, or undefined when the text is not canonical base32 (wrong letters, or set bits past the last byte). */
export function fromBase32(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  let bits = 0;
  let value = 0;
  let offset = 0;
  for (const letter of text) {
    const digit = BASE32.indexOf(letter);
    if (digit < 0) return undefined;
    value = ((value << 5) | digit) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[offset++] = (value >>> bits) & 0xff;
    }
  }
  const leftover = value & ((1 << bits) - 1);
  return leftover === 0 && bits < 5 ? bytes : undefined;
}

/** RFC 4648 base64url without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export function fromBase64Url(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) return undefined;
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return toBase64Url(bytes) === text ? bytes : undefined;
}

/** WebCrypto's types refuse memory that may be shared; ours never is. The one place that says so. */
export function bufferSource(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}

export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bufferSource(bytes)));
}
