/** The processes of one network: opened, awaited until it is settled, asked, ended. Nodes are counted over all of them. */
import { setTimeout as rest } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { HostOperations, Opened, Question, TimedFinding } from "./host-operations.ts";
import type { Usage } from "./operations.ts";
import { Remote } from "./remote.ts";

const HOST = fileURLToPath(new URL("host.ts", import.meta.url));
/** Settled: the links (or table entries) of all nodes together have not changed in number for so long. */
const QUIET_MS = 10_000;
const LOOK_EVERY_MS = 250;
const SETTLE_MS_MAX = 60_000;
/**
 * So many nodes come at once, and the next ones when those have their links: all at once, on few cores, would time each
 * other out.
 */
const STEP = 4;
const STEP_QUIET_MS = 1_000;
const STEP_MS_MAX = 8_000;

export type Host = Remote<HostOperations>;

export interface Network {
  readonly nodes: readonly Opened[];
  /** One more process, without nodes. */
  addHost(): Promise<Host>;
  /** One question after the other, a process's at a time, so that one is under way in the whole network. */
  find(questions: readonly Question[]): Promise<TimedFinding[]>;
  get(questions: readonly Question[]): Promise<TimedFinding[]>;
  /** Those whose node has no session with the one it asks about. */
  unmet(questions: readonly Question[]): Promise<Question[]>;
  ping(question: Question, bytes: number): Promise<number>;
  put(node: number, text: string): Promise<HostOperations["put"]["result"]>;
  sizes(): Promise<number[]>;
  /** By kind, of all processes together. */
  sent(): Promise<ReadonlyMap<string, number>>;
  /** Of each process. */
  usage(collect: boolean): Promise<Usage[]>;
  /** @returns whether it settled before the deadline, and after how long */
  settle(): Promise<Settled>;
}

export interface Settled {
  readonly settled: boolean;
  readonly ms: number;
}

export interface Opening {
  readonly nodes: number;
  readonly perProcess: number;
}

/** Opens a network, runs the body, ends its processes. `idle` is what they had cost before their first node. */
export async function withNetwork<T>(
  name: string,
  { nodes: count, perProcess }: Opening,
  body: (network: Network, idle: readonly Usage[]) => Promise<T>,
): Promise<T> {
  const all: Host[] = [];
  const hosts: Host[] = [];
  const nodes: Opened[] = [];
  const addHost = async (): Promise<Host> => {
    const host = new Remote<HostOperations>(HOST, [name], `${name}, host ${all.length + 1}`);
    all.push(host);
    await host.call("sizes", null);
    return host;
  };
  const placeOf = (question: Question): { readonly host: Host; readonly question: Question } => {
    const host = hosts[Math.floor(question.node / perProcess)];
    if (host === undefined) throw new Error(`No node ${question.node}.`);
    return { host, question: { ...question, node: question.node % perProcess } };
  };
  const askEach = async <R>(
    questions: readonly Question[],
    ask: (host: Host, questions: readonly Question[]) => Promise<readonly R[]>,
  ): Promise<R[]> => {
    const places = questions.map(placeOf);
    const answers: R[] = [];
    for (const host of hosts) {
      const own = places.filter((place) => place.host === host).map(({ question }) => question);
      answers.push(...(await ask(host, own)));
    }
    return answers;
  };
  const sizes = async (): Promise<number[]> =>
    (await Promise.all(hosts.map((host) => host.call("sizes", null)))).flat();
  const quiet = async (quietMs: number, msMax: number): Promise<Settled> => {
    const startMs = performance.now();
    let before = -1;
    for (let changedMs = startMs; ;) {
      const links = (await sizes()).reduce((a, b) => a + b, 0);
      const nowMs = performance.now();
      if (links !== before) changedMs = nowMs;
      before = links;
      if (nowMs - changedMs >= quietMs) return { settled: true, ms: changedMs - startMs };
      if (nowMs - startMs >= msMax) return { settled: false, ms: nowMs - startMs };
      await rest(LOOK_EVERY_MS);
    }
  };
  const network: Network = {
    nodes,
    addHost,
    find: (questions) => askEach(questions, (host, own) => host.call("find", { questions: own })),
    get: (questions) => askEach(questions, (host, own) => host.call("get", { questions: own })),
    async unmet(questions) {
      const places = questions.map(placeOf);
      const met = await Promise.all(
        places.map(({ host, question }) => host.call("connected", { questions: [question] })),
      );
      return questions.filter((_, index) => met[index]?.[0] === false);
    },
    ping(asked, bytes) {
      const { host, question } = placeOf(asked);
      return host.call("ping", { question, bytes });
    },
    put(node, text) {
      const { host, question } = placeOf({ node, about: "" });
      return host.call("put", { node: question.node, text });
    },
    sizes,
    async sent() {
      const sum = new Map<string, number>();
      for (const sent of await Promise.all(hosts.map((host) => host.call("sent", null)))) {
        for (const [kind, sentCount] of Object.entries(sent)) sum.set(kind, (sum.get(kind) ?? 0) + sentCount);
      }
      return sum;
    },
    usage: (collect) => Promise.all(hosts.map((host) => host.call("usage", { collect }))),
    settle: () => quiet(QUIET_MS, SETTLE_MS_MAX),
  };
  try {
    while (hosts.length * perProcess < count) hosts.push(await addHost());
    const idle = await network.usage(true);
    for (const host of hosts) {
      for (let left = Math.min(perProcess, count - nodes.length); left > 0; left -= STEP) {
        const step = { firstIndex: nodes.length, count: Math.min(STEP, left), bootstrap: addressesOf(nodes) };
        nodes.push(...(await host.call("open", step)));
        await quiet(STEP_QUIET_MS, STEP_MS_MAX);
      }
    }
    for (const host of hosts) await host.call("announce", null);
    return await body(network, idle);
  } finally {
    await Promise.all(all.map((host) => host.end()));
  }
}

export function addressesOf(nodes: readonly Opened[]): string[] {
  return nodes.flatMap(({ address }) => address ?? []);
}
