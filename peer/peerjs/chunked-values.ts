/**
 * Values that come in pieces, put together in whatever order these come. What a piece says of the whole is believed of nothing but
 * the count to wait for: memory is what has come, and pieces, values and bytes are bounded.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { CHUNK_WAIT_MS, CHUNKED_VALUES_MAX, CHUNKS_MAX, ITEM_COST_BYTES } from "./limits.ts";

interface Chunked {
  readonly total: number;
  readonly chunks: Map<number, Uint8Array>;
  bytes: number;
  cost: number;
  lastMs: number;
}

/** A whole value, still packed, and what was held for it until now. */
export interface Assembled {
  readonly bytes: Uint8Array;
  readonly cost: number;
}

export class ChunkedValues {
  readonly #bytesMax: number;
  readonly #values = new Map<unknown, Chunked>();

  /** @param bytesMax of one value */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#values.size;
  }

  /**
   * Takes a piece.
   * @param envelope as it was unpacked
   * @returns what it costs, and the value that it completes
   * @throws PeerloomError `wire/malformed`, `peerjs/too-large`
   */
  take(
    envelope: Readonly<Record<string, unknown>>,
    nowMs: number,
  ): { readonly cost: number; readonly whole?: Assembled } {
    const { __peerData: id, n, data, total } = envelope;
    if (!isNumber(id, Number.MAX_SAFE_INTEGER) || !isNumber(total, CHUNKS_MAX) || total === 0)
      throw malformed(`value ${String(id)} in ${String(total)} pieces`);
    if (!isNumber(n, total - 1) || !(data instanceof ArrayBuffer) || data.byteLength === 0)
      throw malformed(`piece ${String(n)} of ${total}`);
    const value = this.#values.get(id) ?? { total, chunks: new Map(), bytes: 0, cost: 0, lastMs: nowMs };
    if (value.total !== total || value.chunks.has(n))
      throw malformed(`piece ${n} of value ${id} comes again`);
    if (!this.#values.has(id) && this.#values.size >= CHUNKED_VALUES_MAX)
      throw malformed(`more than ${CHUNKED_VALUES_MAX} values at once`);
    const cost = data.byteLength + ITEM_COST_BYTES;
    value.chunks.set(n, new Uint8Array(data));
    value.bytes += data.byteLength;
    value.cost += cost;
    value.lastMs = nowMs;
    if (value.bytes > this.#bytesMax)
      throw new PeerloomError("peerjs/too-large", `A value of more than ${this.#bytesMax} bytes came.`);
    if (value.chunks.size < total) {
      this.#values.set(id, value);
      return { cost };
    }
    this.#values.delete(id);
    return { cost, whole: { bytes: join(value), cost: value.cost } };
  }

  /** When the piece that has been waited for longest is given up; undefined when none is. */
  get deadlineMs(): number | undefined {
    if (this.#values.size === 0) return undefined;
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const { lastMs } of this.#values.values()) oldestMs = Math.min(oldestMs, lastMs);
    return oldestMs + CHUNK_WAIT_MS;
  }
}

function join({ chunks, bytes, total }: Chunked): Uint8Array {
  const whole = new Uint8Array(bytes);
  let offset = 0;
  for (let n = 0; n < total; n++) {
    const chunk = chunks.get(n) as Uint8Array;
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}

function isNumber(value: unknown, max: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max;
}

function malformed(what: string): PeerloomError {
  return new PeerloomError("wire/malformed", `The pieces of a PeerJS value do not fit: ${what}.`);
}
