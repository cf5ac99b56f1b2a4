/**
 * A packed value as messages. What is longer than a chunk is cut, and each piece goes as a packed map
 * `{ __peerData: value's number, n: piece's number, data: piece, total: pieces }`, which is what the stock client puts together.
 */
import { concatBytes } from "../../shared/bytes.ts";
import { type Packed, pack } from "./binarypack-writer.ts";
import { CHUNK_BYTES } from "./limits.ts";

/** An envelope is far below this. */
const ENVELOPE_BYTES_MAX = 1_024;

/** Each message in the pieces that `RtcConnection.send` takes. Blobs are read when their turn comes. @param id of the value, on its connection */
export async function* chunksOf({ parts, bytes }: Packed, id: number): AsyncGenerator<Uint8Array[], void> {
  if (bytes <= CHUNK_BYTES) {
    const whole: Uint8Array[] = [];
    for (const part of parts) whole.push(await bytesOf(part));
    yield whole;
    return;
  }
  const total = Math.ceil(bytes / CHUNK_BYTES);
  let n = 0;
  let chunk: Uint8Array[] = [];
  let room = CHUNK_BYTES;
  for (const part of parts) {
    let rest = await bytesOf(part);
    while (rest.length > 0) {
      const piece = rest.subarray(0, room);
      rest = rest.subarray(piece.length);
      chunk.push(piece);
      room -= piece.length;
      if (room > 0) continue;
      yield envelope(id, n++, chunk, total);
      chunk = [];
      room = CHUNK_BYTES;
    }
  }
  if (chunk.length > 0) yield envelope(id, n, chunk, total);
}

function envelope(__peerData: number, n: number, chunk: readonly Uint8Array[], total: number): Uint8Array[] {
  const data = chunk.length === 1 ? (chunk[0] as Uint8Array) : concatBytes(...chunk);
  const { parts } = pack({ __peerData, n, data, total }, CHUNK_BYTES + ENVELOPE_BYTES_MAX);
  return parts as Uint8Array[];
}

async function bytesOf(part: Uint8Array | Blob): Promise<Uint8Array> {
  return part instanceof Uint8Array ? part : new Uint8Array(await part.arrayBuffer());
}
