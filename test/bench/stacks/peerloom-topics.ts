/** A topic of ours: peers without an edge that listen on TCP and join through addresses. */
import { Peer } from "../../../peer/node.ts";
import type { TopicStack } from "../lib/topic-operations.ts";

const BOOTSTRAP_MAX = 4;
/** Nothing is to be held back but by the machine. */
const RATE = 1_000_000;

export function createTopicStack(): TopicStack {
  return {
    async open(bootstrap) {
      const peer = await Peer.open({
        edge: null,
        network: "bench",
        listen: "127.0.0.1:0",
        webrtc: false,
        lan: false,
        bootstrap: bootstrap.slice(-BOOTSTRAP_MAX),
      });
      const topic = peer.topic("bench", { rate: RATE });
      let received = 0;
      void (async () => {
        for await (const _ of topic) received += 1;
      })();
      return {
        address: `${peer.listenAddresses[0]}/${peer.id}`,
        links: () => topic.status().mesh,
        publish: async (body) => void (await topic.publish(body)),
        received: () => received,
      };
    },
  };
}
