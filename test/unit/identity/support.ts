/** What the tests of identities share: bytes written as text, randomness that repeats, storage in memory. */
import type { KeyValueStorage, Random, StoredValue } from "../../../peer/runtime.ts";
import { fromHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";

export function hex(text: string): Uint8Array {
  const bytes = fromHex(text);
  if (bytes === undefined) throw new Error(`${text} is not hex`);
  return bytes;
}

/** Hands out 1, 2, 3, … so that vectors can be made again anywhere. */
export function countingRandom(first = 1): Random {
  let next = first;
  return {
    bytes: (length) => Uint8Array.from({ length }, () => next++ & 0xff),
    unit: () => 0.5,
  };
}

/** A seed told apart by one byte. */
export function seedOf(byte: number): Uint8Array {
  return new Uint8Array(32).fill(byte);
}

export class MemoryStorage implements KeyValueStorage {
  readonly values = new Map<string, StoredValue>();

  async get(key: string): Promise<StoredValue | undefined> {
    return this.values.get(key);
  }

  async set(key: string, value: StoredValue): Promise<void> {
    this.values.set(key, value);
  }
}

/** The code of the PeerloomError that `action` rejects with. */
export async function rejectionCode(action: Promise<unknown>): Promise<string> {
  try {
    await action;
  } catch (error) {
    if (error instanceof PeerloomError) return error.code;
    throw error;
  }
  return "nothing thrown";
}
