/** A forwarded link keeps the contract of links, on streams as a session hands them out. */
import { ForwardedLink } from "../../../peer/overlay/forwarded-link.ts";
import type { Stream } from "../../../peer/session/contract.ts";
import { linkContract } from "../../contract/link.ts";

interface Ends {
  readonly near: Stream;
  readonly far: Stream;
}

/** Two ends of one stream that waits when 64 KiB are unread; a reset of one end breaks the other's reading and writing. */
function streamPair(): Ends {
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
  const reset = (): void => {
    for (const controller of controllers) controller.error(new Error("reset"));
  };
  const end = (readable: Stream["readable"], writable: Stream["writable"]): Stream => ({
    id: 1,
    protocol: "forward/1",
    readable,
    writable,
    departed: () => Promise.resolve(),
    reset,
    closed: Promise.resolve(),
  });
  return { near: end(back.readable, there.writable), far: end(there.readable, back.writable) };
}

function linkOn(stream: Stream): ForwardedLink {
  const reader = stream.readable.getReader();
  return new ForwardedLink(stream, { description: "through a third", reader, first: new Uint8Array(0) });
}

linkContract("forwarded", () => {
  const { near, far } = streamPair();
  const [a, b] = [linkOn(near), linkOn(far)];
  return {
    a,
    b,
    dispose: () => {
      a.destroy();
      b.destroy();
    },
  };
});
