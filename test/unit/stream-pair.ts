/** Streams without a session, as a session hands them out. */
import type { Stream } from "../../peer/session/contract.ts";
import { type ErrorCode, PeerloomError } from "../../shared/errors.ts";

export interface StreamEnds {
  readonly near: Stream;
  readonly far: Stream;
}

/** Two ends of one stream that waits when 64 KiB are unread; a reset of one end breaks the other's reading and writing. */
export function streamPair(protocol: string): StreamEnds {
  const room: QueuingStrategy<Uint8Array> = { highWaterMark: 65_536, size: (chunk) => chunk.length };
  const controllers: TransformStreamDefaultController<Uint8Array>[] = [];
  const pipe = (): TransformStream<Uint8Array, Uint8Array> =>
    new TransformStream(
      {
        start: (controller) => {
          controllers.push(controller);
        },
      },
      room,
      room,
    );
  const [there, back] = [pipe(), pipe()];
  const reset = (code?: ErrorCode): void => {
    const error = code === undefined ? new Error("reset") : new PeerloomError(code, "It was reset.");
    for (const controller of controllers) controller.error(error);
  };
  const end = (readable: Stream["readable"], writable: Stream["writable"]): Stream => ({
    id: 1,
    protocol,
    readable,
    writable,
    departed: () => Promise.resolve(),
    reset,
    closed: Promise.resolve(),
  });
  return { near: end(back.readable, there.writable), far: end(there.readable, back.writable) };
}
