/**
 * Seeded randomness, so that a run can be had again: sfc32 (Chris Doty-Humphrey, PractRand), 128 bits of state, passes
 * BigCrush. Not for keys outside a simulation.
 */
import type { Random } from "../../runtime.ts";

/** The first outputs depend on few bits of the seed and are thrown away. */
const WARM_UP = 16;
const UINT32 = 2 ** 32;

export interface SimRandom extends Random {
  /** Uniform in [0, 2^32). */
  uint32(): number;
  /** A whole number, both ends included. */
  integer(min: number, max: number): number;
  /** An independent generator of the same run; `name` tells siblings apart, so that one's draws do not move another's. */
  fork(name: string): SimRandom;
}

/**
 * @example
 * const random = seededRandom(7);
 * const latencyMs = random.integer(5, 80);
 */
export function seededRandom(seed: number | string): SimRandom {
  const text = String(seed);
  let a = fnv1a(text, 0);
  let b = fnv1a(text, 1);
  let c = fnv1a(text, 2);
  let counter = 1;

  const uint32 = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let i = 0; i < WARM_UP; i++) uint32();

  return {
    uint32,
    unit: () => uint32() / UINT32,
    integer: (min, max) => min + Math.floor((uint32() / UINT32) * (max - min + 1)),
    bytes(length) {
      const bytes = new Uint8Array(length);
      for (let i = 0; i < length; i += 4) {
        const word = uint32();
        for (let j = i; j < Math.min(i + 4, length); j++) bytes[j] = word >>> ((j - i) * 8);
      }
      return bytes;
    },
    fork: (name) => seededRandom(`${text}/${name}`),
  };
}

/** FNV-1a over the text's UTF-16 units; `lane` gives independent words of state. */
function fnv1a(text: string, lane: number): number {
  let hash = (0x811c9dc5 ^ Math.imul(lane, 0x9e3779b1)) | 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 0;
}

/** One of them, each as likely; undefined when there is none. */
export function pickOne<T>(all: readonly T[], random: Random): T | undefined {
  return all[Math.floor(random.unit() * all.length)];
}
