/** What `topics.ts` asks of a process of nodes, and of a stack that has topics. */
import type { Usage } from "./operations.ts";

export interface TopicOperations {
  /** Opens so many nodes, each joined by these addresses, all in the topic. @returns their addresses */
  open: {
    args: { readonly count: number; readonly bootstrap: readonly string[] };
    result: readonly string[];
  };
  /** The least of the nodes' links in the topic. */
  links: { args: null; result: number };
  /** One node publishes so many messages, as fast as it may. */
  publish: {
    args: { readonly node: number; readonly count: number; readonly bytes: number };
    result: null;
  };
  /** Messages received since the start, of each node. */
  received: { args: null; result: readonly number[] };
  usage: { args: { readonly collect: boolean }; result: Usage };
}

export interface TopicBenchNode {
  readonly address: string;
  /** Others that it exchanges messages of the topic with. */
  links(): number;
  publish(body: Uint8Array): Promise<void>;
  received(): number;
}

export interface TopicStack {
  open(bootstrap: readonly string[]): Promise<TopicBenchNode>;
}
