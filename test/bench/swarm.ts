/**
 * One file from many peers at once, disk to disk, verified; every member a process. `node test/bench/swarm.ts [--stacks A,B]
 * [--rounds 3] [--mib 512] [--cappedMib 256] [--cappedMBps 20] [--eightMib 64] [--eightMBps 4]`
 *
 * `capped-N`: N sources with a limit each, one getter, which had another file of them before; `cold-4`: had none, so that
 * five new processes compile their code at once. `eight`: one source, eight getters, all with the same limit;
 * `eight-free`: only the source has one. `liar`: four sources, the content of one went bad after it was shared.
 * `…-S-to-G`: as fast as it goes, beside WebTorrent.
 */
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, mkdtemp, open, rm, stat, truncate, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runBenchmark } from "./lib/benchmark.ts";
import { Remote } from "./lib/remote.ts";
import type { GetFigures, SwarmOperations } from "./lib/swarm-operations.ts";

const CALL_MS_MAX = 900_000;
const BLOCK_BYTES = 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;
const WARM_MIB = 32;

type Member = Remote<SwarmOperations>;

interface Scenario {
  readonly stack: "peerloom" | "webtorrent";
  readonly sources: number;
  readonly getters: number;
  readonly mib: number;
  /** Of another file that everybody gets before; 0: none. */
  readonly warmMib: number;
  /** Bytes a second that each gives. */
  readonly sourceLimit: number | null;
  readonly getterLimit: number | null;
  readonly hasLiar: boolean;
}

const NAMES = [
  "capped-1",
  "capped-2",
  "capped-4",
  "cold-4",
  "eight",
  "eight-free",
  "liar",
  ...["1-to-1", "1-to-4", "4-to-1"].flatMap((shape) => [`peerloom-${shape}`, `webtorrent-${shape}`]),
];

const folder = await mkdtemp(join(tmpdir(), "peerloom-bench-"));
const made = new Map<number, string>();

try {
  await runBenchmark({
    name: "swarm",
    source: (stack) => {
      if (!NAMES.includes(stack)) throw new Error(`No scenario "${stack}"; there are ${NAMES.join(", ")}.`);
      return stack.startsWith("webtorrent") ? { anchor: true } : {};
    },
    stacks: NAMES,
    rounds: 3,
    numbers: { mib: 512, cappedMib: 256, cappedMBps: 20, eightMib: 64, eightMBps: 4 },
    ratios: [
      { of: "capped-2", to: "capped-1", figure: "mbPerSecond", atLeast: 1.8 },
      { of: "capped-4", to: "capped-1", figure: "mbPerSecond", atLeast: 3.6 },
      { of: "cold-4", to: "capped-1", figure: "mbPerSecond", atLeast: 3.6 },
      ...["1-to-1", "1-to-4", "4-to-1"].map((shape) => ({
        of: `peerloom-${shape}`,
        to: `webtorrent-${shape}`,
        figure: "mbPerSecond",
        atLeast: 1,
      })),
    ],
    goals: [
      { of: "eight", figure: "ofLeast", atMost: 1.15 },
      { of: "eight-free", figure: "ofLeast", atMost: 1.15 },
      { of: "liar", figure: "wastedChunks", atMost: 4 },
      ...["capped-4", "eight", "eight-free", "peerloom-4-to-1", "peerloom-1-to-4"].map((of) => ({
        of,
        figure: "wastedPercent",
        atMost: 2,
      })),
    ],
    measure: (name, numbers) => run(name, scenario(name, numbers)),
  });
} finally {
  await rm(folder, { recursive: true, force: true });
}

function scenario(name: string, numbers: Readonly<Record<string, number>>): Scenario {
  const { mib = 0, cappedMib = 0, cappedMBps = 0, eightMib = 0, eightMBps = 0 } = numbers;
  const base = { stack: "peerloom", getters: 1, warmMib: 0, hasLiar: false, getterLimit: null } as const;
  const [, sources = 0, getters = 0] = (/(\d)(?:-to-(\d))?$/.exec(name) ?? []).map(Number);
  if (/^(?:capped|cold)-/.test(name))
    return {
      ...base,
      sources,
      mib: cappedMib,
      warmMib: name.startsWith("cold") ? 0 : WARM_MIB,
      sourceLimit: cappedMBps * 1e6,
    };
  if (name === "liar")
    return { ...base, sources: 4, mib: cappedMib, sourceLimit: cappedMBps * 1e6, hasLiar: true };
  if (name.startsWith("eight")) {
    const limit = eightMBps * 1e6;
    const getterLimit = name === "eight" ? limit : null;
    return { ...base, sources: 1, getters: 8, mib: eightMib, sourceLimit: limit, getterLimit };
  }
  const stack = name.startsWith("webtorrent") ? "webtorrent" : "peerloom";
  return { ...base, stack, sources, getters, mib, sourceLimit: null };
}

async function run(name: string, swarm: Scenario): Promise<Readonly<Record<string, number>>> {
  const bytes = swarm.mib * 2 ** 20;
  const members: Member[] = [];
  let meeting = "";
  const start = async (role: string, upload: number | null): Promise<Member> => {
    const member = new Remote<SwarmOperations>(script(swarm.stack), [], `${name}, ${role}`);
    members.push(member);
    meeting = await member.call("open", { meeting, upload });
    return member;
  };
  const targets: string[] = [];
  const shareAll = async (mib: number, sources: readonly Member[]): Promise<string> => {
    const path = await sourceFile(mib);
    let ticket: string | null = null;
    for (const [at, source] of sources.entries())
      ticket = await share(source, path, ticket, swarm.hasLiar && at === 0);
    return ticket ?? "";
  };
  const getAll = (ticket: string, getters: readonly Member[], as: string): Promise<GetFigures[]> =>
    Promise.all(
      getters.map((getter, at) => {
        const target = join(folder, `${as}-${at}`);
        targets.push(target);
        return getter.call("get", { ticket, path: target }, CALL_MS_MAX);
      }),
    );
  try {
    const sources: Member[] = [];
    for (let i = 0; i < swarm.sources; i++) sources.push(await start(`source ${i + 1}`, swarm.sourceLimit));
    const ticket = await shareAll(swarm.mib, sources);
    const getters: Member[] = [];
    for (let i = 0; i < swarm.getters; i++) getters.push(await start(`getter ${i + 1}`, swarm.getterLimit));
    if (swarm.warmMib > 0) await getAll(await shareAll(swarm.warmMib, sources), getters, `${name}-warm`);
    const before = await cpuSeconds(members);
    const startMs = performance.now();
    const figures = await getAll(ticket, getters, name);
    const seconds = (performance.now() - startMs) / 1000;
    const cpu = (await cpuSeconds(members)) - before;
    return outcome(swarm, { seconds, cpu, bytes, figures });
  } finally {
    await Promise.all(members.map((member) => member.end()));
    for (const target of targets) await rm(target, { recursive: true, force: true });
  }
}

function outcome(
  { getters, sourceLimit }: Scenario,
  measured: {
    readonly seconds: number;
    readonly cpu: number;
    readonly bytes: number;
    readonly figures: readonly GetFigures[];
  },
): Readonly<Record<string, number>> {
  const { seconds, cpu, bytes, figures } = measured;
  const wasted = figures.reduce((sum, { discarded }) => sum + discarded, 0);
  return {
    seconds,
    /** Of each getter, by the one that was last. */
    mbPerSecond: bytes / 1e6 / seconds,
    cpuSecondsPerGiB: cpu / ((bytes * getters) / 2 ** 30),
    sources: Math.min(...figures.map(({ sources }) => sources)),
    wastedPercent: (100 * wasted) / (bytes * getters),
    wastedChunks: wasted / CHUNK_BYTES,
    ...(sourceLimit === null ? {} : { ofLeast: seconds / (bytes / sourceLimit) }),
  };
}

/** A liar's file is another when it is asked for it, and its time does not tell. */
async function share(source: Member, path: string, ticket: string | null, lies: boolean): Promise<string> {
  if (!lies) return source.call("share", { path, ticket }, CALL_MS_MAX);
  const spoiled = join(folder, "spoiled", "payload.bin");
  await mkdir(join(folder, "spoiled"), { recursive: true });
  await copyFile(path, spoiled);
  await utimes(spoiled, 1_700_000_000, 1_700_000_000);
  const made = await source.call("share", { path: spoiled, ticket }, CALL_MS_MAX);
  const { size } = await stat(spoiled);
  await truncate(spoiled, 0);
  await truncate(spoiled, size);
  await utimes(spoiled, 1_700_000_000, 1_700_000_000);
  return made;
}

async function cpuSeconds(members: readonly Member[]): Promise<number> {
  const usages = await Promise.all(members.map((member) => member.call("usage", null)));
  return usages.reduce((sum, usage) => sum + usage.cpuSeconds, 0);
}

function script(stack: Scenario["stack"]): string {
  const file = stack === "webtorrent" ? "anchors/webtorrent.ts" : "lib/swarm-peer.ts";
  return fileURLToPath(new URL(file, import.meta.url));
}

/** Random, so that nothing on the way can shrink it. Made once a run and size. */
async function sourceFile(mib: number): Promise<string> {
  const known = made.get(mib);
  if (known !== undefined) return known;
  const below = await mkdtemp(join(folder, "source-"));
  const path = join(below, "payload.bin");
  const file = await open(path, "w");
  for (let i = 0; i < mib; i++) await file.write(randomBytes(BLOCK_BYTES));
  await file.close();
  made.set(mib, path);
  return path;
}
