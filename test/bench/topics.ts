/**
 * A topic among real processes on this machine: messages a second that reach all, beside gossipsub in the same run; and among simulated peers:
 * how soon they come, and how often. `node test/bench/topics.ts [--stacks A,B] [--rounds 3] [--processes 32] [--perProcess 1] [--messages 2000] [--bytes 250]
 * [--simulated 1000]`; the simulated ones are the stack `simulation`.
 */
import { setTimeout as rest } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { TopicWorld } from "../../peer/simulation/topics.ts";
import { runBenchmark } from "./lib/benchmark.ts";
import { Remote } from "./lib/remote.ts";
import type { TopicOperations } from "./lib/topic-operations.ts";

type Numbers = Readonly<Record<string, number>>;

const HOST = fileURLToPath(new URL("lib/topic-host.ts", import.meta.url));
const at = (path: string): string => new URL(path, import.meta.url).href;
const STACKS: { readonly [name: string]: { readonly module?: string; readonly anchor?: true } } = {
  peerloom: { module: at("stacks/peerloom-topics.ts") },
  gossipsub: { module: at("anchors/gossipsub.ts"), anchor: true },
  simulation: {},
};
const SEED = 1;
/** Meshes are made by then: several heartbeats of both. */
const SETTLE_MS = 6_000;
const LINKS_MS_MAX = 180_000;
const LOOK_MS = 20;
/** Nothing has come for so long: what is missing is lost. */
const QUIET_MS = 5_000;
const WARM = 200;

await runBenchmark({
  name: "topics",
  source: (stack) => {
    const source = STACKS[stack];
    if (source === undefined)
      throw new Error(`No stack "${stack}"; there are ${Object.keys(STACKS).join(", ")}.`);
    return source;
  },
  stacks: ["peerloom", "gossipsub", "simulation"],
  rounds: 3,
  numbers: { processes: 32, perProcess: 1, messages: 2_000, bytes: 250, simulated: 1_000 },
  ratios: [
    { of: "peerloom", to: "gossipsub", figure: "onePublisherPerSecond", atLeast: 1 },
    { of: "peerloom", to: "gossipsub", figure: "allPublishPerSecond", atLeast: 1 },
    { of: "peerloom", to: "gossipsub", figure: "onePublisherCpuMs", atMost: 1 },
  ],
  goals: [
    { of: "simulation", figure: "smallMsP99", atMost: 200 },
    { of: "simulation", figure: "smallDeadMsP99", atMost: 200 },
    { of: "simulation", figure: "smallDeadLost", atMost: 0 },
    { of: "simulation", figure: "largeCopies", atMost: 1.5 },
    { of: "simulation", figure: "largeDeadCopies", atMost: 1.5 },
    { of: "simulation", figure: "largeDeadLost", atMost: 0 },
  ],
  measure: (stack, numbers) => {
    const module = STACKS[stack]?.module;
    return module === undefined ? Promise.resolve(simulate(numbers)) : among(module, stack, numbers);
  },
});

async function among(
  module: string,
  stack: string,
  { processes = 0, perProcess = 0, ...counts }: Numbers,
): Promise<Numbers> {
  const hosts: Remote<TopicOperations>[] = [];
  try {
    const addresses: string[] = [];
    for (let i = 0; i < processes; i++) {
      const host = new Remote<TopicOperations>(HOST, [module], `${stack}, process ${i + 1}`);
      hosts.push(host);
      addresses.push(...(await host.call("open", { count: perProcess, bootstrap: addresses })));
    }
    await linked(hosts);
    await rest(SETTLE_MS);
    const { messages = 0, bytes = 0 } = counts;
    await load(hosts, [0], WARM, bytes);
    const one = await load(hosts, [0], messages, bytes);
    const all = await load(hosts, [...hosts.keys()], Math.ceil(messages / processes), bytes);
    return {
      onePublisherPerSecond: one.perSecond,
      onePublisherLost: one.lost,
      onePublisherCpuMs: one.cpuMs,
      allPublishPerSecond: all.perSecond,
      allPublishLost: all.lost,
      allPublishCpuMs: all.cpuMs,
    };
  } finally {
    await Promise.all(hosts.map((host) => host.end()));
  }
}

async function linked(hosts: readonly Remote<TopicOperations>[]): Promise<void> {
  const wanted = Math.min(4, hosts.length - 1);
  for (const startMs = performance.now(); ;) {
    const links = await Promise.all(hosts.map((host) => host.call("links", null)));
    if (Math.min(...links) >= wanted) return;
    if (performance.now() - startMs > LINKS_MS_MAX)
      throw new Error(`Links after ${LINKS_MS_MAX} ms: ${links.join()}`);
    await rest(LOOK_MS * 10);
  }
}

/** From the first message published to the last one received. `cpuMs` is of all processes, for each message and node. */
async function load(
  hosts: readonly Remote<TopicOperations>[],
  publishers: readonly number[],
  count: number,
  bytes: number,
): Promise<{ readonly perSecond: number; readonly lost: number; readonly cpuMs: number }> {
  const received = async (): Promise<number> =>
    (await Promise.all(hosts.map((host) => host.call("received", null)))).flat().reduce((a, b) => a + b, 0);
  const cpu = async (): Promise<number> =>
    (await Promise.all(hosts.map((host) => host.call("usage", { collect: false })))).reduce(
      (sum, { cpuSeconds }) => sum + cpuSeconds,
      0,
    );
  const nodes = (await Promise.all(hosts.map((host) => host.call("received", null)))).flat().length;
  const messages = count * publishers.length;
  const wanted = messages * (nodes - 1);
  const [before, cpuBefore] = [await received(), await cpu()];
  const startMs = performance.now();
  const publishing = Promise.all(
    publishers.flatMap((index) => hosts[index]?.call("publish", { node: 0, count, bytes }) ?? []),
  );
  let got = 0;
  let lastMs = startMs;
  while (got < wanted && performance.now() - lastMs < QUIET_MS) {
    await rest(LOOK_MS);
    const now = (await received()) - before;
    if (now > got) lastMs = performance.now();
    got = now;
  }
  await publishing;
  const seconds = (lastMs - startMs) / 1_000;
  return {
    perSecond: got / (nodes - 1) / seconds,
    lost: (wanted - got) / wanted,
    cpuMs: (((await cpu()) - cpuBefore) * 1_000) / wanted,
  };
}

function simulate({ simulated = 0, bytes = 0 }: Numbers): Numbers {
  const runs = {
    small: { kill: 0, run: { bytes, messages: 20 } },
    smallDead: { kill: 0.2, run: { bytes, messages: 20 } },
    busy: { kill: 0, run: { bytes, messages: 100, publishers: 1, everyMs: 100 } },
    busyDead: { kill: 0.2, run: { bytes, messages: 100, publishers: 1, everyMs: 100 } },
    large: { kill: 0, run: { bytes: 8_000, messages: 20, publishers: 4 } },
    largeDead: { kill: 0.2, run: { bytes: 8_000, messages: 20, publishers: 4 } },
    image: { kill: 0, run: { bytes: 65_536, messages: 20, publishers: 1 } },
  };
  const figures: Record<string, number> = { seed: SEED };
  for (const [name, { kill, run }] of Object.entries(runs)) {
    const world = new TopicWorld({ nodes: simulated, seed: SEED });
    world.kill(kill);
    const { delivered, msP50, msP99, msMax, copies } = world.run(run);
    Object.assign(figures, {
      [`${name}Lost`]: 1 - delivered,
      [`${name}MsP50`]: msP50,
      [`${name}MsP99`]: msP99,
      [`${name}MsMax`]: msMax,
      [`${name}Copies`]: copies,
    });
  }
  return figures;
}
