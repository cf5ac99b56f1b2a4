/**
 * Tasks on working peers, each a process with one slot: `1` has the listener alone, `2` the helper beside it; `local` runs the same modules in a
 * thread of the asking process, without any network.
 */
import { nodeSandboxes } from "../../../peer/adapters/node/sandbox.ts";
import { Peer } from "../../../peer/node.ts";
import { checkModule, PAGE_BYTES } from "../../../peer/services/compute/module-check.ts";
import { burn, echo } from "../../wasm/modules.ts";
import type { Stack } from "../lib/stack.ts";

const PAGES = 256;
const OPTIONS = { edge: null, network: "bench", webrtc: false, lan: false } as const;

interface Tasks {
  readonly count: number;
  /** Steps of each; 0: nothing but given back. */
  readonly steps: number;
}

export interface ComputeStack extends Stack {
  /** @returns ms to the first result, and seconds to the last */
  compute(tasks: Tasks): Promise<{ firstMs: number; seconds: number }>;
}

export function createStack(variant: string): ComputeStack {
  let asker: Peer | undefined;

  const open = async (): Promise<string> => {
    const peer = await Peer.open({ ...OPTIONS, listen: "127.0.0.1:0" });
    await peer.compute.work({ slots: 1 });
    return `${peer.listenAddresses[0]}/${peer.id}`;
  };
  return {
    helper: open,
    listen: async (_accept, helper) =>
      variant === "local" ? "" : [await open(), ...(helper === "" ? [] : [helper])].join(),
    async prepare(addresses) {
      if (variant === "local") return;
      const bootstrap = addresses.split(",");
      asker = await Peer.open({ ...OPTIONS, bootstrap });
      for (const address of bootstrap) await asker.connect(address.slice(address.lastIndexOf("/") + 1));
    },
    dial: () => Promise.reject(new Error("There is nothing to dial.")),
    async compute({ count, steps }) {
      const module = steps === 0 ? echo : burn;
      const input = new Uint8Array(Uint32Array.of(steps).buffer);
      const inputs = Array.from({ length: count }, () => input);
      const results = asker === undefined ? runHere(module, inputs) : asker.compute.map(module, inputs);
      const startMs = performance.now();
      let firstMs: number | undefined;
      for await (const _ of results) firstMs ??= performance.now() - startMs;
      return { firstMs: firstMs ?? 0, seconds: (performance.now() - startMs) / 1000 };
    },
  };
}

async function* runHere(module: Uint8Array, inputs: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  const sandbox = nodeSandboxes.start();
  try {
    await sandbox.load(checkModule(module).bound(PAGES));
    const limits = { outputBytesMax: 1024 * 1024, memoryBytesMax: PAGES * PAGE_BYTES };
    for (const input of inputs) yield await sandbox.run(input, limits);
  } finally {
    await sandbox.kill();
  }
}
