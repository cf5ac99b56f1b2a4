/** The edge's PeerServer on one object, embedded: the very bundle that is deployed. */
import { type EmbeddedEdge, startEmbeddedEdge } from "../../../infra/embedded-edge.ts";
import { serverStack, type Stack } from "../lib/stack.ts";

export function createStack(): Stack {
  let edge: EmbeddedEdge | undefined;
  return serverStack(
    async () => {
      edge = await startEmbeddedEdge();
      return `${edge.url}/peerjs/`;
    },
    async () => edge?.stop(),
  );
}
