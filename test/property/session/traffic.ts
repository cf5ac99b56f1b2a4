/** Bytes that can be told apart, and what sends and reads them at a chosen pace. */
import type { SimRandom } from "../../../peer/adapters/sim/random.ts";
import type { Clock } from "../../../peer/runtime.ts";

/** Writes the bytes in pieces of random size, then closes unless told otherwise. Resolves when all has arrived. */
export async function writeAll(
  writable: WritableStream<Uint8Array>,
  bytes: Uint8Array,
  options: {
    readonly random: SimRandom;
    readonly pieceBytesMax: number;
    readonly close?: boolean;
    /** Rests up to so long after a piece. */
    readonly rest?: { readonly clock: Clock; readonly msMax: number };
  },
): Promise<void> {
  const { random, pieceBytesMax, close = true, rest } = options;
  const writer = writable.getWriter();
  for (let offset = 0; offset < bytes.length;) {
    const piece = bytes.slice(offset, offset + random.integer(1, pieceBytesMax));
    await writer.write(piece);
    piece.fill(0xee); // A writer may use its memory again as soon as the write is over.
    offset += piece.length;
    if (rest !== undefined) await rest.clock.sleep(random.unit() * rest.msMax);
  }
  if (close) await writer.close();
  else writer.releaseLock();
}

/** Reads to the end. */
export async function readAll(
  readable: ReadableStream<Uint8Array>,
  rest?: { readonly clock: Clock; readonly random: SimRandom; readonly msMax: number },
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readable) {
    chunks.push(chunk);
    if (rest !== undefined) await rest.clock.sleep(rest.random.unit() * rest.msMax);
  }
  return joined(chunks);
}

/** Reads exactly so many bytes, or what there is when it ends before. */
export async function readExactly(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  length: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (let got = 0; got < length;) {
    const { value, done } = await reader.read();
    if (done) break;
    chunks.push(value);
    got += value.length;
  }
  return joined(chunks);
}

/** Where two byte strings first differ, for a short message instead of two megabytes of diff. */
export function firstDifference(expected: Uint8Array, actual: Uint8Array): string | undefined {
  const length = Math.min(expected.length, actual.length);
  for (let i = 0; i < length; i++) {
    if (expected[i] !== actual[i])
      return `byte ${i} of ${expected.length} is ${actual[i]}, not ${expected[i]}`;
  }
  return expected.length === actual.length
    ? undefined
    : `${actual.length} bytes came, not ${expected.length}`;
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
