/** One process of nodes of the network named in its argument. Told what to do by IPC. */
import type { HostOperations, Question, TimedFinding } from "./host-operations.ts";
import { type Finding, loadNetwork, type Network, type NetworkNode } from "./network.ts";
import { answerCalls, type Handlers } from "./remote.ts";
import { ownUsage } from "./usage.ts";

const network: Network = await loadNetwork(process.argv[2] ?? "");
const nodes: NetworkNode[] = [];

const handlers: Handlers<HostOperations> = {
  async open({ firstIndex, count, bootstrap }) {
    const known = [...bootstrap];
    for (let i = 0; i < count; i++) {
      const node = await network.open(known, firstIndex + i);
      nodes.push(node);
      if (node.address !== undefined) known.push(node.address);
    }
    return nodes.slice(-count).map(({ name, address }) => ({ name, address }));
  },
  async announce() {
    for (const node of nodes) await node.announce?.();
    return null;
  },
  async sizes() {
    return nodes.map((node) => node.size());
  },
  find: ({ questions }) => askEach(questions, (node, name) => node.find(name)),
  async connected({ questions }) {
    return questions.map(({ node, about }) => nodeAt(node).isConnected(about));
  },
  async ping({ question: { node, about }, bytes }) {
    const startMs = performance.now();
    await nodeAt(node).ping(about, bytes);
    return performance.now() - startMs;
  },
  async arrive({ index, bootstrap, name, bytes }) {
    const startMs = performance.now();
    const node = await network.open(bootstrap, index);
    const joinedMs = performance.now();
    await node.announce?.();
    nodes.push(node);
    await node.ping(name, bytes);
    return { joinMs: joinedMs - startMs, pingMs: performance.now() - joinedMs };
  },
  async put({ node, text }) {
    const { records } = nodeAt(node);
    if (records === undefined) return null;
    const startMs = performance.now();
    const key = await records.put(new TextEncoder().encode(text));
    return { key, ms: performance.now() - startMs };
  },
  get: ({ questions }) =>
    askEach(questions, (node, key) => {
      if (node.records === undefined) throw new Error("This network keeps no records.");
      return node.records.get(key);
    }),
  async sent() {
    return network.sent?.() ?? {};
  },
  async usage({ collect }) {
    return ownUsage(collect);
  },
};

async function askEach(
  questions: readonly Question[],
  ask: (node: NetworkNode, about: string) => Promise<Finding>,
): Promise<TimedFinding[]> {
  const findings: TimedFinding[] = [];
  for (const { node, about } of questions) {
    const startMs = performance.now();
    const { found, messages } = await ask(nodeAt(node), about);
    findings.push({ ms: performance.now() - startMs, found, messages });
  }
  return findings;
}

function nodeAt(index: number): NetworkNode {
  const node = nodes[index];
  if (node === undefined) throw new Error(`No node ${index} in this process.`);
  return node;
}

answerCalls<HostOperations>(handlers, async () => {});
