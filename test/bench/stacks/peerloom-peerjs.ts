/**
 * The edge's PeerServer: the very bundle that is deployed, on one object or on several. `embedded`: behind what Miniflare puts in front of a
 * Worker, as `peerloom edge dev` has it; without that word as it is hosted, in workerd alone.
 */
import { type EmbeddedEdge, startEmbeddedEdge } from "../../../infra/embedded-edge.ts";
import { type AloneEdge, startAloneEdge } from "../lib/alone-edge.ts";
import { serverStack, type Stack } from "../lib/stack.ts";

/** @param variant number of objects, or `embedded` */
export function createStack(variant: string): Stack {
  let edge: EmbeddedEdge | AloneEdge | undefined;
  return serverStack(
    async () => {
      edge = await (variant === "embedded"
        ? startEmbeddedEdge()
        : startAloneEdge({ PEERJS_SHARDS: variant }));
      return `${edge.url}/peerjs/`;
    },
    async () => edge?.stop(),
  );
}
