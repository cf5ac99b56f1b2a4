/** The processes of one run: always fresh ones, always ended. */
import { fileURLToPath } from "node:url";
import type { Operations, Usage } from "./operations.ts";
import { type Place, Remote } from "./remote.ts";
import { sourceOf } from "./stack.ts";

const SIDE = fileURLToPath(new URL("side.ts", import.meta.url));
const START_MS_MAX = 60_000;

export type Side = Remote<Operations>;

export interface Trio {
  readonly listener: Side;
  readonly dialler: Side;
  readonly helper: Side | undefined;
  readonly address: string;
  /** Of listener, dialler and helper, in this order. */
  usage(collect: boolean): Promise<Usage[]>;
}

/** Where the listener (with the helper) and the dialler run. */
export interface Places {
  readonly listener: Place;
  readonly dialler: Place;
}

/** Starts the processes of a stack, has them ready to dial, runs the body, ends them. */
export async function withTrio<T>(
  stack: string,
  body: (trio: Trio) => Promise<T>,
  places?: Places,
): Promise<T> {
  const helper = sourceOf(stack).helper === true ? start(stack, "helper", places?.listener) : undefined;
  const listener = start(stack, "listener", places?.listener);
  const dialler = start(stack, "dialler", places?.dialler);
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

/** Starts so many helpers of a stack and one dialler that knows all their addresses, runs the body, ends them. */
export async function withCrew<T>(
  stack: string,
  size: number,
  body: (crew: { readonly helpers: readonly Side[]; readonly dialler: Side }) => Promise<T>,
): Promise<T> {
  const helpers = Array.from({ length: size }, (_, i) => start(stack, `helper ${i + 1}`));
  const dialler = start(stack, "dialler");
  try {
    const addresses = await Promise.all(helpers.map((side) => side.call("helper", {}, START_MS_MAX)));
    await dialler.call("prepare", { address: addresses.join(), helper: "" }, START_MS_MAX);
    return await body({ helpers, dialler });
  } finally {
    await Promise.all([dialler, ...helpers].map((side) => side.end()));
  }
}

/** Starts the helper of a stack that only serves, runs the body with its URL, ends it. */
export async function withServer<T>(
  stack: string,
  body: (server: Side, url: string) => Promise<T>,
): Promise<T> {
  const server = start(stack, "server");
  try {
    return await body(server, await server.call("helper", {}, START_MS_MAX));
  } finally {
    await server.end();
  }
}

function start(stack: string, role: string, place?: Place): Side {
  return new Remote<Operations>(SIDE, [stack], `${stack}, ${role}`, place);
}
