/**
 * What the benchmarks ask of a stack: somebody who listens, somebody who dials, a byte pipe between them. One file a
 * stack in `stacks/` (ours and the raw ones) and in `anchors/` (other projects, installed on demand).
 */

/** A pipe of bytes in order. Its users keep to its backpressure. */
export interface Conn {
  /** False asks the caller to await `drained()` before it writes on. */
  write(bytes: Uint8Array): boolean;
  drained(): Promise<void>;
  onData: (bytes: Uint8Array) => void;
  /** Over when the next dial makes a connection of its own. */
  close(): void | Promise<void>;
}

export interface Stack {
  /** A third process: relay, bootstrap, edge. @returns what the others must know of it */
  helper?(): Promise<string>;
  /** @returns what a dialler must know */
  listen(accept: (conn: Conn) => void, helper: string): Promise<string>;
  /** What a dialler holds before it dials: its node, its connection to the relay, its signalling. Not measured. */
  prepare?(address: string, helper: string): Promise<void>;
  dial(address: string): Promise<Conn>;
  /** One more idle thing to hold, for the memory figures. @default a dialled connection that has echoed a byte */
  hold?(address: string): Promise<void>;
  /** Ends what would outlive this process: another one that it started, temporary files. */
  stop?(): Promise<void>;
  /** Bytes of a bulk write where the stack's best differs from the run's. */
  readonly chunkBytes?: number;
}

/** Makes the stack of one variant, in each of its processes. */
export type StackFactory = (variant: string) => Promise<Stack> | Stack;

interface StackSource {
  readonly module: URL;
  readonly variant: string;
  /** Lives in `anchors/`, whose packages are installed first. */
  readonly anchor?: true;
  /** Has a third process. */
  readonly helper?: true;
}

const at = (path: string): URL => new URL(`../${path}`, import.meta.url);

export const STACKS: { readonly [name: string]: StackSource } = {
  "raw-tcp": { module: at("stacks/raw-tcp.ts"), variant: "" },
  "raw-datachannel": { module: at("stacks/raw-datachannel.ts"), variant: "standard" },
  "raw-datachannel-tuned": { module: at("stacks/raw-datachannel.ts"), variant: "tuned" },
  "relay-bare": { module: at("stacks/relay-bare.ts"), variant: "", helper: true },
  "libp2p-tcp": { module: at("anchors/libp2p.ts"), variant: "tcp", anchor: true },
  "libp2p-relay": { module: at("anchors/libp2p.ts"), variant: "relay", anchor: true, helper: true },
  hyperdht: { module: at("anchors/hyperdht.ts"), variant: "", anchor: true, helper: true },
  "peerloom-tcp": { module: at("stacks/peerloom.ts"), variant: "tcp" },
  "peerloom-webrtc": { module: at("stacks/peerloom.ts"), variant: "webrtc", helper: true },
  "peerloom-relay": { module: at("stacks/peerloom.ts"), variant: "relay", helper: true },
  "compute-local": { module: at("stacks/compute.ts"), variant: "local" },
  "compute-1": { module: at("stacks/compute.ts"), variant: "1" },
  "compute-2": { module: at("stacks/compute.ts"), variant: "2", helper: true },
  peerserver: { module: at("anchors/peerserver.ts"), variant: "", anchor: true, helper: true },
  "peerjs-bare": { module: at("stacks/peerjs-bare.ts"), variant: "", helper: true },
  "peerloom-peerjs": { module: at("stacks/peerloom-peerjs.ts"), variant: "1", helper: true },
  "peerloom-peerjs-2": { module: at("stacks/peerloom-peerjs.ts"), variant: "2", helper: true },
  "peerloom-peerjs-4": { module: at("stacks/peerloom-peerjs.ts"), variant: "4", helper: true },
  "peerloom-peerjs-embedded": { module: at("stacks/peerloom-peerjs.ts"), variant: "embedded", helper: true },
  "peerloom-joined": { module: at("stacks/peerloom.ts"), variant: "joined", helper: true },
};

export function sourceOf(name: string): StackSource {
  const source = STACKS[name];
  if (source === undefined)
    throw new Error(`No stack "${name}"; there are ${Object.keys(STACKS).join(", ")}.`);
  return source;
}

/** A stack that only serves: its clients are the benchmark's own. @param helper starts the server, and answers with its URL */
export function serverStack(helper: () => Promise<string>, stop?: () => Promise<void>): Stack {
  const refuse = (): Promise<never> => Promise.reject(new Error("This stack only serves."));
  return { helper, listen: refuse, dial: refuse, ...(stop === undefined ? {} : { stop }) };
}

export async function loadStack(name: string): Promise<Stack> {
  const { module, variant } = sourceOf(name);
  const { createStack } = (await import(module.href)) as { readonly createStack: StackFactory };
  return createStack(variant);
}
