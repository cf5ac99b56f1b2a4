/**
 * A peer's words as a Bloom filter (Bloom 1970), which its neighbours hold: it says "certainly not" or "probably", so that a question goes first to
 * where it may be answered, as with Gnutella's query routing. It has about ten bits a word: one in a hundred and twenty
 * foreign words seems to be there.
 */
import { utf8 } from "../../../shared/bytes.ts";

/** 2 KiB: 1,600 words. A peer with more leaves the last ones out, and is found by the index, the DHT or chance. */
export const DIGEST_BYTES_MAX = 2_048;
export const DIGEST_WORDS_MAX = 1_600;
const DIGEST_BYTES_MIN = 32;
const BITS_PER_WORD = 10;
const HASHES = 7;
/** An honest filter is half full. One that says yes to everything would draw every question to its maker. */
const FILL_MAX = 0.6;

export class Digest {
  /** A power of two in length. */
  readonly bytes: Uint8Array;

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  static of(words: Iterable<string>): Digest {
    const counted = [...words].slice(0, DIGEST_WORDS_MAX);
    let length = DIGEST_BYTES_MIN;
    while (length * 8 < counted.length * BITS_PER_WORD && length < DIGEST_BYTES_MAX) length *= 2;
    const bytes = new Uint8Array(length);
    for (const word of counted) {
      for (const bit of bitsOf(word, length * 8))
        bytes[bit >>> 3] = (bytes[bit >>> 3] as number) | (1 << (bit & 7));
    }
    return new Digest(bytes);
  }

  /** Somebody else's; undefined when it is none, or too full to tell anything. */
  static read(bytes: Uint8Array): Digest | undefined {
    const { length } = bytes;
    const isSized = length >= DIGEST_BYTES_MIN && length <= DIGEST_BYTES_MAX && (length & (length - 1)) === 0;
    if (!isSized || bitsSet(bytes) > length * 8 * FILL_MAX) return undefined;
    return new Digest(Uint8Array.from(bytes));
  }

  get isEmpty(): boolean {
    return this.bytes.every((byte) => byte === 0);
  }

  /** False: none of its listings has all of these words. */
  mayHave(words: readonly string[]): boolean {
    return words.every((word) => {
      for (const bit of bitsOf(word, this.bytes.length * 8))
        if (((this.bytes[bit >>> 3] as number) & (1 << (bit & 7))) === 0) return false;
      return true;
    });
  }
}

/** Double hashing (Kirsch and Mitzenmacher 2006): two hashes give all positions. */
function* bitsOf(word: string, bits: number): Iterable<number> {
  const bytes = utf8(word);
  const first = fnv1a(bytes, 0x811c9dc5);
  const step = fnv1a(bytes, 0x9747b28c) | 1;
  for (let i = 0; i < HASHES; i++) yield (first + Math.imul(i, step)) & (bits - 1);
}

/** FNV-1a with the final mix of MurmurHash3, so that the low bits depend on all of the word. */
function fnv1a(bytes: Uint8Array, basis: number): number {
  let hash = basis;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function bitsSet(bytes: Uint8Array): number {
  let count = 0;
  for (let byte of bytes) for (; byte !== 0; byte &= byte - 1) count += 1;
  return count;
}
