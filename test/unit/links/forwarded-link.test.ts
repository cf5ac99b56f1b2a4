/** A forwarded link keeps the contract of links, on streams as a session hands them out. */
import { ForwardedLink } from "../../../peer/overlay/forwarded-link.ts";
import type { Stream } from "../../../peer/session/contract.ts";
import { linkContract } from "../../contract/link.ts";
import { streamPair } from "../stream-pair.ts";

function linkOn(stream: Stream): ForwardedLink {
  const reader = stream.readable.getReader();
  return new ForwardedLink(stream, { description: "through a third", reader, first: new Uint8Array(0) });
}

linkContract("forwarded", () => {
  const { near, far } = streamPair("forward/1");
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
