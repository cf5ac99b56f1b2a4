/** One process of nodes in one topic, of the stack whose module its argument names. Told what to do by IPC. */
import { answerCalls, type Handlers } from "./remote.ts";
import type { TopicBenchNode, TopicOperations, TopicStack } from "./topic-operations.ts";
import { ownUsage } from "./usage.ts";

const { createTopicStack } = (await import(process.argv[2] ?? "")) as {
  readonly createTopicStack: () => TopicStack | Promise<TopicStack>;
};
const stack = await createTopicStack();
const nodes: TopicBenchNode[] = [];

const handlers: Handlers<TopicOperations> = {
  async open({ count, bootstrap }) {
    const known = [...bootstrap];
    for (let i = 0; i < count; i++) {
      const node = await stack.open(known);
      nodes.push(node);
      known.push(node.address);
    }
    return nodes.slice(-count).map(({ address }) => address);
  },
  async links() {
    return Math.min(...nodes.map((node) => node.links()));
  },
  async publish({ node, count, bytes }) {
    const publisher = nodes[node];
    if (publisher === undefined) throw new Error(`No node ${node} in this process.`);
    for (let i = 0; i < count; i++) await publisher.publish(new Uint8Array(bytes).fill(i & 0xff));
    return null;
  },
  async received() {
    return nodes.map((node) => node.received());
  },
  async usage({ collect }) {
    return ownUsage(collect);
  },
};

answerCalls<TopicOperations>(handlers, async () => {});
