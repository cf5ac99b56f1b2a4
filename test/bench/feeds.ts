/**
 * Feeds: entries appended a second, and entries that a newcomer synchronises a second from several peers at once, each in a process of its
 * own; beside what hashing and checking the same entries costs by itself, and what a check of every signature would.
 * `node test/bench/feeds.ts [--entries 100000] [--rounds 3] [--holders 3] [--disk]`
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { nodeHash } from "../../peer/adapters/node/hash.ts";
import { generateIdentity } from "../../peer/identity/identity.ts";
import { verify } from "../../peer/identity/verify.ts";
import { nodeRandom } from "../../peer/adapters/node/random.ts";
import { type Feed, Peer } from "../../peer/node.ts";
import { encodeEntry } from "../../peer/services/feeds/entry.ts";
import { leafHashes, MerkleTree } from "../../peer/services/feeds/tree.ts";
import { round, spread } from "./lib/statistics.ts";

/** What the newcomer has under way at once when it appends; below what a feed lets wait. */
const APPENDS_AT_ONCE = 4_096;
const SIGNATURES = 2_000;

interface Task {
  readonly entries: number;
  readonly dataDir: string | undefined;
  /** Undefined: write the feed. */
  readonly from?: { readonly address: string; readonly bootstrap: readonly string[] };
}

interface Outcome {
  readonly address: string;
  readonly listen: string;
  readonly seconds: number;
  readonly mib: number;
  readonly neighbours: number;
}

const valueOf = (i: number): { readonly i: number; readonly text: string } => ({
  i,
  text: "what an entry may say",
});

async function act({ entries, dataDir, from }: Task): Promise<Outcome> {
  const peer = await Peer.open({
    edge: null,
    lan: false,
    webrtc: false,
    listen: "127.0.0.1:0",
    bootstrap: from?.bootstrap ?? [],
    ...(dataDir === undefined ? {} : { dataDir }),
  });
  const startMs = performance.now();
  const feed = await peer.feeds.open(from?.address ?? "bench");
  if (from === undefined) await append(feed, entries);
  else await complete(feed, entries);
  return {
    address: feed.address,
    listen: `${peer.listenAddresses[0]}/${peer.id}`,
    seconds: (performance.now() - startMs) / 1000,
    mib: process.memoryUsage().rss / 2 ** 20,
    neighbours: feed.status().neighbours.length,
  };
}

async function append(feed: Feed, entries: number): Promise<void> {
  for (let i = 0; i < entries; i += APPENDS_AT_ONCE) {
    const count = Math.min(APPENDS_AT_ONCE, entries - i);
    await Promise.all(Array.from({ length: count }, (_, k) => feed.append(valueOf(i + k))));
  }
}

async function complete(feed: Feed, entries: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (feed.length === entries) resolve();
    };
    feed.addEventListener("head", look);
    look();
  });
}

/** Hashes and one signature, as a newcomer cannot do without: leaves, tree, root. */
async function bare(entries: number): Promise<number> {
  const identity = await generateIdentity(nodeRandom);
  const value = new TextEncoder().encode(`\u0002${JSON.stringify(valueOf(1))}`);
  const bytes = Array.from({ length: entries }, (_, seq) =>
    encodeEntry({ seq, previous: new Uint8Array(32), links: [], timeMs: 1.7e12, value }),
  );
  const signature = await identity.sign(bytes[0] as Uint8Array);
  const startMs = performance.now();
  const tree = new MerkleTree(nodeHash);
  for (let i = 0; i < entries; i += 256)
    (await tree.prepare(await leafHashes(nodeHash, bytes.slice(i, i + 256))))();
  await tree.rootAt(entries);
  await verify(identity.id, bytes[0] as Uint8Array, signature);
  return entries / ((performance.now() - startMs) / 1000);
}

async function signatures(): Promise<number> {
  const identity = await generateIdentity(nodeRandom);
  const bytes = nodeRandom.bytes(100);
  const signature = await identity.sign(bytes);
  const startMs = performance.now();
  for (let i = 0; i < SIGNATURES; i += 50)
    await Promise.all(Array.from({ length: 50 }, () => verify(identity.id, bytes, signature)));
  return SIGNATURES / ((performance.now() - startMs) / 1000);
}

function inProcess(task: Task, running: ChildProcess[]): Promise<Outcome> {
  const child = fork(fileURLToPath(import.meta.url), [], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  running.push(child);
  return new Promise((resolve, reject) => {
    child.once("message", (outcome) => resolve(outcome as Outcome));
    child.once("exit", (code) => reject(new Error(`A peer's process ended with ${code}.`)));
    child.send(task);
  });
}

async function once(entries: number, holders: number, isKept: boolean): Promise<Record<string, number>> {
  const running: ChildProcess[] = [];
  const folder = await mkdtemp(join(tmpdir(), "peerloom-bench-"));
  let made = 0;
  const run = (from?: Task["from"]): Promise<Outcome> => {
    const dataDir = isKept ? join(folder, String(made++)) : undefined;
    return inProcess({ entries, dataDir, ...(from === undefined ? {} : { from }) }, running);
  };
  try {
    const writer = await run();
    const from = { address: writer.address, bootstrap: [writer.listen] };
    const copies: Outcome[] = [];
    for (let i = 1; i < holders; i++) copies.push(await run(from));
    const bootstrap = [writer, ...copies].map(({ listen }) => listen);
    const newcomer = await run({ ...from, bootstrap });
    return {
      appendPerSecond: entries / writer.seconds,
      syncPerSecond: entries / newcomer.seconds,
      syncFromOnePerSecond: entries / (copies[0] ?? newcomer).seconds,
      barePerSecond: await bare(entries),
      signaturesPerSecond: await signatures(),
      neighbours: newcomer.neighbours,
      writerMiB: writer.mib,
      newcomerMiB: newcomer.mib,
    };
  } finally {
    for (const child of running) child.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      entries: { type: "string", default: "100000" },
      rounds: { type: "string", default: "3" },
      holders: { type: "string", default: "3" },
      disk: { type: "boolean", default: false },
    },
  });
  const [entries, holders] = [Number(values.entries), Number(values.holders)];
  const loadBefore = loadavg()[0] ?? 0;
  const rounds: Record<string, number>[] = [];
  for (let i = 0; i < Number(values.rounds); i++) rounds.push(await once(entries, holders, values.disk));
  const names = Object.keys(rounds[0] ?? {});
  const ratio = (of: string, to: string) =>
    spread(
      rounds.map((each) => (each[of] ?? Number.NaN) / (each[to] ?? Number.NaN)),
      3,
    );
  const line = {
    bench: "feeds",
    entries,
    holders,
    disk: values.disk,
    figures: Object.fromEntries(
      names.map((name) => [
        name,
        spread(
          rounds.map((each) => each[name] ?? 0),
          0,
        ),
      ]),
    ),
    ratios: {
      "sync to bare hashing": ratio("syncPerSecond", "barePerSecond"),
      "sync to checking every signature": ratio("syncPerSecond", "signaturesPerSecond"),
    },
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      node: process.versions.node,
      loadBefore: round(loadBefore),
      loadAfter: round(loadavg()[0] ?? 0),
    },
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

if (process.send === undefined) await main();
else {
  process.once("message", (task) => {
    act(task as Task).then(
      (outcome) => process.send?.(outcome),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
}
