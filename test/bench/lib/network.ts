/**
 * What `overlay.ts` asks of a system of many nodes that find each other without a server: a node that joins through
 * others, looks others up by name, and reaches them. Ours are in `stacks/`, other projects' in `anchors/`.
 */

/** What one question to the network has cost the one who asked. */
export interface Finding {
  readonly found: boolean;
  /** Requests and answers until the answer, acknowledgements apart; 0: it was known already. */
  readonly messages: number;
}

export interface NetworkNode {
  /** By what others look it up: a public key or an id, as text. */
  readonly name: string;
  /** How others join through it; undefined for one that nobody can dial. */
  readonly address: string | undefined;
  /** Has itself be found, where that takes more than being there; called once all nodes are. */
  announce?(): Promise<void>;
  /** Links that stand, or entries of its routing table. */
  size(): number;
  /** Whether it has a session with that node. */
  isConnected(name: string): boolean;
  /** Where that node is, asked of the network and not of a memory of its own. */
  find(name: string): Promise<Finding>;
  /** Reaches that node over a session of its own, and has so many bytes echoed. */
  ping(name: string, bytes: number): Promise<void>;
  /** Values that the network keeps, where it does. */
  readonly records?: NetworkRecords;
}

export interface NetworkRecords {
  /** @returns the key */
  put(value: Uint8Array): Promise<string>;
  get(key: string): Promise<Finding>;
}

export interface Network {
  /** Opens a node and has it join. `index` counts the network's nodes: some kinds of node alternate. */
  open(bootstrap: readonly string[], index: number): Promise<NetworkNode>;
  /** Messages that this process's nodes have sent, by kind, where that can be counted. */
  sent?(): Readonly<Record<string, number>>;
}

/** Makes the network of one variant, in each of its processes. */
export type NetworkFactory = (variant: string) => Promise<Network> | Network;

export interface NetworkSource {
  readonly module: URL;
  readonly variant: string;
  /** Lives in `anchors/`, whose packages are installed first. */
  readonly anchor?: true;
}

const at = (path: string): URL => new URL(`../${path}`, import.meta.url);

export const NETWORKS: { readonly [name: string]: NetworkSource } = {
  peerloom: { module: at("stacks/peerloom-network.ts"), variant: "" },
  "peerloom-32": { module: at("stacks/peerloom-network.ts"), variant: "browser-links" },
  hyperdht: { module: at("anchors/hyperdht-network.ts"), variant: "", anchor: true },
  libp2p: { module: at("anchors/libp2p-network.ts"), variant: "", anchor: true },
};

export function networkOf(name: string): NetworkSource {
  const source = NETWORKS[name];
  if (source === undefined)
    throw new Error(`No network "${name}"; there are ${Object.keys(NETWORKS).join(", ")}.`);
  return source;
}

export async function loadNetwork(name: string): Promise<Network> {
  const { module, variant } = networkOf(name);
  const { createNetwork } = (await import(module.href)) as { readonly createNetwork: NetworkFactory };
  return createNetwork(variant);
}
