/**
 * A data connection as a stream of bytes, so that what answers streams of `peer.handle` answers PeerJS pages too. What comes must be
 * bytes or strings (taken as UTF-8); what is written goes as bytes. A data channel has no halves: closing one ends both.
 */
import { byteStream } from "../../shared/byte-stream.ts";
import { bufferSource, utf8 } from "../../shared/bytes.ts";
import { type ErrorCode, PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import type { Stream } from "../session/contract.ts";
import type { DataConnection } from "./data-connection.ts";

/** Every data channel takes messages of this size (RFC 8831, section 6.6), and the stock client's are below it. */
const WRITE_BYTES_MAX = 16_384;

export function connectionStream(connection: DataConnection): Stream {
  const values = connection[Symbol.asyncIterator]();
  const reset = (code: ErrorCode = "stream/reset"): void =>
    connection.fail(new PeerloomError(code, `The PeerJS connection was reset here: ${code}.`));
  const readable = byteStream({
    async pull(controller: ReadableByteStreamController): Promise<void> {
      const bytes = await nextBytes();
      if (bytes === undefined) {
        controller.close();
        controller.byobRequest?.respond(0); // a BYOB reader that waits is told in this way only
      } else controller.enqueue(bufferSource(bytes));
    },
    cancel: () => {
      // The other direction may go on; what comes is read and dropped.
      void drop();
    },
  });
  const nextBytes = async (): Promise<Uint8Array | undefined> => {
    for (;;) {
      const { done, value } = await values.next();
      if (done === true) return undefined;
      const bytes = bytesOf(value);
      if (bytes === undefined) {
        const error = new PeerloomError(
          "wire/malformed",
          `A stream takes bytes and strings; ${connection.peer} sent something else.`,
        );
        connection.fail(error);
        throw error;
      }
      if (bytes.length > 0) return bytes;
    }
  };
  const drop = async (): Promise<void> => {
    try {
      while ((await values.next()).done !== true);
    } catch {
      // It has failed: nothing more comes.
    }
  };
  const writable = new WritableStream<Uint8Array>({
    async write(chunk): Promise<void> {
      for (let offset = 0; offset < chunk.length; offset += WRITE_BYTES_MAX)
        await connection.send(chunk.subarray(offset, offset + WRITE_BYTES_MAX));
    },
    close: () => connection.close(),
    abort: (reason) => reset(toPeerloomError(reason, "stream/reset", "").code),
  });
  return {
    id: 0,
    protocol: connection.label,
    readable,
    writable,
    // A write's promise waits for that already.
    departed: () => Promise.resolve(),
    reset,
    closed: connection.closed.then(() => {}),
  };
}

function bytesOf(value: unknown): Uint8Array | undefined {
  if (typeof value === "string") return utf8(value);
  return value instanceof ArrayBuffer ? new Uint8Array(value) : undefined;
}
