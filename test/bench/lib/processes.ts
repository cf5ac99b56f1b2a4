/** The processes of one run: always fresh ones, always ended. */
import { fileURLToPath } from "node:url";
import type { Operations, Usage } from "./operations.ts";
import { Remote } from "./remote.ts";
import { sourceOf } from "./stack.ts";

const SIDE = fileURLToPath(new URL("side.ts", import.meta.url));
const START_MS_MAX = 60_000;

type Side = Remote<Operations>;

export interface Trio {
  readonly listener: Side;
  readonly dialler: Side;
  readonly helper: Side | undefined;
  readonly address: string;
  /** Of listener, dialler and helper, in this order. */
  usage(collect: boolean): Promise<Usage[]>;
}

/** One process of a stack, to be ended by whoever starts it. */
export function startSide(stack: string, role: string): Side {
  return new Remote<Operations>(SIDE, [stack], `${stack}, ${role}`);
}

/** Starts the processes of a stack, has them ready to dial, runs the body, ends them. */
export async function withTrio<T>(stack: string, body: (trio: Trio) => Promise<T>): Promise<T> {
  const start = (role: string): Side => startSide(stack, role);
  const helper = sourceOf(stack).helper === true ? start("helper") : undefined;
  const [listener, dialler] = [start("listener"), start("dialler")];
  const all = helper === undefined ? [listener, dialler] : [listener, dialler, helper];
  try {
    const at = (await helper?.call("helper", {}, START_MS_MAX)) ?? "";
    const address = await listener.call("listen", { helper: at }, START_MS_MAX);
    await dialler.call("prepare", { address, helper: at }, START_MS_MAX);
    const usage = (collect: boolean): Promise<Usage[]> =>
      Promise.all(all.map((side) => side.call("usage", { collect })));
    return await body({ listener, dialler, helper, address, usage });
  } finally {
    await Promise.all(all.map((side) => side.end()));
  }
}
