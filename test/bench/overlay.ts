/**
 * A network of real nodes on this machine, without a server: how long one looks for another and how many messages that
 * takes, what a node costs, how fast a newcomer reaches somebody. `node test/bench/overlay.ts [--stacks A,B]
 * [--rounds 1] [--nodes 64] [--perProcess 16] [--lookups 500] [--warm 100] [--pings 20] [--newcomers 8] [--values 32]`
 */
import { setTimeout as rest } from "node:timers/promises";
import { runBenchmark } from "./lib/benchmark.ts";
import type { Question, TimedFinding } from "./lib/host-operations.ts";
import { addressesOf, type Network, withNetwork } from "./lib/hosts.ts";
import { networkOf } from "./lib/network.ts";
import type { Usage } from "./lib/operations.ts";
import { quantile } from "./lib/statistics.ts";

type Numbers = Readonly<Record<string, number>>;

const IDLE_MS = 10_000;
const PING_BYTES = 64;
const GETS_PER_VALUE = 4;
/** Most pairs may have met. */
const DRAWS_PER_PING = 8;
/** The same questions for every network. */
const SEED = 1;

await runBenchmark({
  name: "overlay",
  source: networkOf,
  stacks: ["peerloom", "peerloom-32", "hyperdht", "libp2p"],
  rounds: 1,
  numbers: { nodes: 64, perProcess: 16, lookups: 500, warm: 100, pings: 20, newcomers: 8, values: 32 },
  ratios: [
    { of: "peerloom", to: "hyperdht", figure: "lookupMsP50", atMost: 2 },
    { of: "peerloom-32", to: "hyperdht", figure: "lookupMsP50", atMost: 2 },
    // Of its queries the one that ends soonest: twenty nodes keep a value, three know where a peer is.
    { of: "peerloom", to: "hyperdht", figure: "lookupMsP50", toFigure: "getMsP50", atMost: 2 },
    { of: "peerloom-32", to: "hyperdht", figure: "lookupMsP50", toFigure: "getMsP50", atMost: 2 },
    { of: "libp2p", to: "peerloom", figure: "lookupMsP50", atLeast: 10 },
    { of: "libp2p", to: "peerloom-32", figure: "lookupMsP50", atLeast: 10 },
    { of: "peerloom", to: "libp2p", figure: "memoryMiBPerNode" },
    { of: "peerloom", to: "hyperdht", figure: "memoryMiBPerNode" },
  ],
  goals: [
    { of: "peerloom", figure: "lookupMessages", atMost: 5 },
    { of: "peerloom-32", figure: "lookupMessages", atMost: 5 },
  ],
  measure: (stack, { nodes = 0, perProcess = 0, ...counts }) =>
    withNetwork(stack, { nodes, perProcess }, async (network, idle) => {
      const { settled, ms: settleMs } = await network.settle();
      const sizes = await network.sizes();
      if (Math.min(...sizes) === 0)
        throw new Error(`${sizes.filter((size) => size === 0).length} are alone.`);
      const draw = drawing(network);
      return {
        settleS: settleMs / 1000,
        settled: settled ? 1 : 0,
        linksMin: Math.min(...sizes),
        linksMedian: quantile(sizes, 0.5),
        ...(await costs(network, idle)),
        ...(await lookUps(network, draw, counts)),
        ...(await records(network, draw, counts)),
        ...(await pings(network, draw, counts)),
        ...(await arrivals(network, draw, counts)),
      };
    }),
});

/** What a node holds, and what it does while nobody asks for anything. */
async function costs(network: Network, idle: readonly Usage[]): Promise<Numbers> {
  const { length } = network.nodes;
  const before = await network.usage(true);
  await rest(IDLE_MS);
  const after = await network.usage(false);
  const bytes = sum(before.map(({ residentBytes }, i) => residentBytes - (idle[i]?.residentBytes ?? 0)));
  const seconds = sum(after.map(({ cpuSeconds }, i) => cpuSeconds - (before[i]?.cpuSeconds ?? 0)));
  return {
    memoryMiBPerNode: bytes / 2 ** 20 / length,
    processMiB: sum(idle.map(({ residentBytes }) => residentBytes)) / 2 ** 20 / idle.length,
    idleCpuMsPerNodePer10S: (seconds * 1000) / length,
  };
}

/** What was known without asking is counted and left out. */
async function lookUps(
  network: Network,
  draw: () => Question,
  { lookups = 0, warm = 0 }: Numbers,
): Promise<Numbers> {
  await network.find(Array.from({ length: warm }, draw));
  const before = await network.sent();
  const findings = await network.find(Array.from({ length: lookups }, draw));
  const after = await network.sent();
  const asked = findings.filter(({ found, messages }) => found && messages > 0);
  return {
    found: findings.filter(({ found }) => found).length,
    known: findings.filter(({ found, messages }) => found && messages === 0).length,
    ...timesOf("lookup", asked),
    ...Object.fromEntries(
      [...after].map(([kind, count]) => [`${kind}PerLookup`, (count - (before.get(kind) ?? 0)) / lookups]),
    ),
  };
}

/** Values that the network keeps; nothing where it keeps none. */
async function records(network: Network, draw: () => Question, { values = 0 }: Numbers): Promise<Numbers> {
  const keys: string[] = [];
  const putMs: number[] = [];
  for (let index = 0; index < values; index++) {
    const stored = await network.put(draw().node, `value ${index}`);
    if (stored === null) return {};
    keys.push(stored.key);
    putMs.push(stored.ms);
  }
  const questions = Array.from({ length: values * GETS_PER_VALUE }, (_, index) => ({
    node: draw().node,
    about: keys[index % keys.length] ?? "",
  }));
  const findings = await network.get(questions);
  return {
    putMsP50: quantile(putMs, 0.5),
    putMsP95: quantile(putMs, 0.95),
    valuesFound: findings.filter(({ found }) => found).length / findings.length,
    ...timesOf(
      "get",
      findings.filter(({ found, messages }) => found && messages > 0),
    ),
  };
}

/** A new session between two that have none, and an echo; nothing where everybody has met everybody. */
async function pings(
  network: Network,
  draw: () => Question,
  { pings: count = 0 }: Numbers,
): Promise<Numbers> {
  const strangers = await network.unmet(Array.from({ length: count * DRAWS_PER_PING }, draw));
  const ms: number[] = [];
  for (const question of strangers.slice(0, count)) ms.push(await network.ping(question, PING_BYTES));
  return ms.length === 0
    ? {}
    : { pings: ms.length, pingMsP50: quantile(ms, 0.5), pingMsP95: quantile(ms, 0.95) };
}

/** Nodes of one more process. They stay: those that follow would meet their dead addresses, and measure time-outs. */
async function arrivals(
  network: Network,
  draw: () => Question,
  { newcomers = 0 }: Numbers,
): Promise<Numbers> {
  const host = await network.addHost();
  const addresses = addressesOf(network.nodes);
  const came: { readonly joinMs: number; readonly pingMs: number }[] = [];
  for (let i = 0; i < newcomers; i++) {
    const { about } = draw();
    // A node of the middle, so that the first few do not carry all.
    const bootstrap = addresses.slice((i * 4) % (addresses.length - 3));
    const index = network.nodes.length + i;
    came.push(await host.call("arrive", { index, bootstrap, name: about, bytes: PING_BYTES }));
  }
  const joinMs = came.map((each) => each.joinMs);
  const pingMs = came.map((each) => each.pingMs);
  return {
    joinMsP50: quantile(joinMs, 0.5),
    joinMsMax: Math.max(...joinMs),
    newcomerPingMsP50: quantile(pingMs, 0.5),
    newcomerPingMsMax: Math.max(...pingMs),
  };
}

function timesOf(name: string, findings: readonly TimedFinding[]): Numbers {
  const ms = findings.map((finding) => finding.ms);
  const messages = findings.map((finding) => finding.messages);
  return {
    [`${name}MsP50`]: quantile(ms, 0.5),
    [`${name}MsP95`]: quantile(ms, 0.95),
    [`${name}Messages`]: sum(messages) / messages.length,
    [`${name}MessagesP95`]: quantile(messages, 0.95),
  };
}

/** Random nodes asking for random others, the same row each time: a linear congruential generator (Numerical Recipes). */
function drawing({ nodes }: Network): () => Question {
  let state = SEED;
  const below = (count: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * count);
  };
  return () => {
    const node = below(nodes.length);
    const other = (node + 1 + below(nodes.length - 1)) % nodes.length;
    return { node, about: nodes[other]?.name ?? "" };
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
