/** A peerloom member of a swarm in a process of its own. */
import { Peer } from "../../../peer/node.ts";
import { answerCalls } from "./remote.ts";
import type { SwarmOperations } from "./swarm-operations.ts";
import { ownUsage } from "./usage.ts";

let own: Peer | undefined;

function peer(): Peer {
  if (own === undefined) throw new Error("This process has no peer yet.");
  return own;
}

answerCalls<SwarmOperations>(
  {
    async open({ upload }) {
      const limit = upload === null ? {} : { uploadLimit: upload };
      own = await Peer.open({ edge: null, network: "bench", listen: "127.0.0.1:0", webrtc: false, ...limit });
      return "";
    },
    async share({ path, ticket }) {
      return (await peer().files.share(path, ticket === null ? {} : { ticket })).ticket;
    },
    async get({ ticket, path }) {
      const { seconds, sources, discarded } = await peer().files.get(ticket, { seed: true }).saveTo(path);
      return { seconds, sources, discarded };
    },
    async usage() {
      return ownUsage(false);
    },
  },
  async () => own?.close(),
);
