/**
 * What a stream outlives, between two processes in the laboratory, as one JSON object a line:
 * `node test/natlab/survive.ts --sleep SECONDS [--who receiver|sender]`: one process is stopped (SIGSTOP) for so long under a running transfer;
 * `node test/natlab/survive.ts --kills 100 [--bytes 1073741824] [--seed N]`: the direct path is killed so often in one transfer.
 * Both take `--access KIND/KIND`. Exits 1 when a byte is lost, repeated or reordered, or a stream sees an error.
 */
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { seededRandom } from "../../peer/adapters/sim/random.ts";
import { Lab, type Site } from "./lab.ts";
import { type LabEvent, LabProcess, textOf } from "./lab-process.ts";
import { ACCESS, type AccessName } from "./nat.ts";
import { whyImpossible } from "./namespace.ts";

const PROGRAM = fileURLToPath(new URL("./stream-peer.ts", import.meta.url));
const LISTEN_PORT = 4000;
const START_TIMEOUT_MS = 30_000;
const DIRECT_TIMEOUT_MS = 60_000;
const AGAIN_TIMEOUT_MS = 120_000;
const DONE_TIMEOUT_MS = 600_000;
/** A transfer that is to last until the trouble is over goes at this pace, and is let go then. */
const SLEEP_PACE_BYTES = 1_000_000;
/** A kill, and the way back to a direct path, take less than this on average. */
const KILL_SECONDS = 6;
const SLEEP_BYTES: number = 64 * 1024 * 1024;
/** A kill lasts this long: longer than it takes to see it, and three in ten longer than the path lives. */
const KILL_MS = { min: 800, max: 1_200 } as const;
const LONG_KILL_MS = { min: 2_300, max: 3_000 } as const;
const LONG_SHARE = 0.3;
/** Between the return of the direct path and the next kill. */
const REST_MS = { min: 100, max: 600 } as const;

const { values } = parseArgs({
  options: {
    sleep: { type: "string" },
    who: { type: "string", default: "receiver" },
    kills: { type: "string" },
    bytes: { type: "string" },
    seed: { type: "string" },
    access: { type: "string", default: "port-restricted/port-restricted" },
  },
});

const impossible = whyImpossible();
if (impossible !== undefined) {
  console.error(`The NAT laboratory is skipped: ${impossible}.`);
  process.exit(0);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));

interface Ending {
  readonly bytes: number;
  readonly equal: boolean;
  readonly sha256: string | undefined;
  readonly streamErrors: readonly string[];
}

type Outcome = Ending & Readonly<Record<string, unknown>>;

interface Transfer {
  readonly receiver: LabProcess;
  readonly sender: LabProcess;
  readonly receiverSite: Site;
}

const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const lab = await Lab.open();
try {
  const outcome =
    values.kills === undefined ? await outliveSleep() : await outliveKills(Number(values.kills));
  console.log(JSON.stringify(outcome));
  process.exitCode = outcome.equal && outcome.streamErrors.length === 0 ? 0 : 1;
} finally {
  await lab.close();
}

async function outliveSleep(): Promise<Outcome> {
  const stoppedSeconds = Number(values.sleep ?? 300);
  const transfer = await begin(Number(values.bytes ?? SLEEP_BYTES), SLEEP_PACE_BYTES);
  const { receiver, sender } = transfer;
  const stopped = values.who === "sender" ? sender : receiver;
  await isDirect(receiver);
  stopped.signal("SIGSTOP");
  await sleep(stoppedSeconds * 1_000);
  const wokenAtMs = Date.now();
  stopped.signal("SIGCONT");
  /** From the awakening until the receiver has more than so many bytes. */
  const msUntil = async (bytes: number): Promise<number | undefined> => {
    const found = await receiver.find(
      (event) => event.event === "progress" && wallMsOf(event) > wokenAtMs && Number(event["bytes"]) > bytes,
      AGAIN_TIMEOUT_MS,
    );
    return found === undefined ? undefined : wallMsOf(found) - wokenAtMs;
  };
  // Some of the first bytes have waited in the sleeper's own buffers; what was written after it woke has not.
  const [firstBytesMs, flowingAgainMs] = [
    await msUntil(lastBytes(receiver)),
    await msUntil(lastBytes(sender)),
  ];
  const ending = await finish(transfer);
  return { stoppedSeconds, who: values.who, access: values.access, firstBytesMs, flowingAgainMs, ...ending };
}

async function outliveKills(count: number): Promise<Outcome> {
  const random = seededRandom(seed);
  const between = ({ min, max }: { readonly min: number; readonly max: number }): number =>
    min + random.unit() * (max - min);
  console.error(`seed=${seed} replay: node test/natlab/survive.ts --kills ${count} --seed ${seed}`);
  const bytes = Number(values.bytes ?? 1024 ** 3);
  const transfer = await begin(bytes, bytes / (count * KILL_SECONDS));
  const { receiver, receiverSite } = transfer;
  const killsAtMs: number[] = [];
  const killed: string[] = [];
  let long = 0;
  for (let kill = 0; kill < count; kill++) {
    await isDirect(receiver);
    await sleep(between(REST_MS));
    const isTcp = lastPathOf(receiver)?.["transport"] === "tcp";
    killsAtMs.push(Date.now());
    killed.push(isTcp ? "tcp" : "webrtc");
    receiverSite.host.rules(deadPath(isTcp && random.unit() < 0.5 ? "reset" : "drop"));
    const isLong = random.unit() < LONG_SHARE;
    if (isLong) long += 1;
    await sleep(between(isLong ? LONG_KILL_MS : KILL_MS));
    receiverSite.host.rules("delete table inet dead");
  }
  await isDirect(receiver);
  const ending = await finish(transfer);
  const gapsMs = killsAtMs.map((fromMs, i) => longestGapMs(receiver, fromMs, killsAtMs[i + 1] ?? Infinity));
  const sorted = gapsMs.toSorted((a, b) => a - b);
  return {
    kills: killsAtMs.length,
    long,
    of: Object.fromEntries(["tcp", "webrtc"].map((kind) => [kind, killed.filter((k) => k === kind).length])),
    access: values.access,
    seed,
    ...ending,
    worstGapMs: sorted.at(-1),
    medianGapMs: sorted[Math.floor(sorted.length / 2)],
    gapsOverOneSecond: gapsMs.filter((ms) => ms > 1_000).length,
  };
}

async function begin(bytes: number, pace: number): Promise<Transfer> {
  const names = values.access.split("/") as AccessName[];
  const [receiverSite, senderSite] = names.map((name) => lab.site(name)) as [Site, Site];
  const spawn = (name: string, site: Site, access: AccessName, words: readonly string[]): LabProcess => {
    const listen = ACCESS[access].listens ? ["--listen", `0.0.0.0:${LISTEN_PORT}`] : [];
    const all = [PROGRAM, ...words, "--edge", site.edge, ...listen];
    return lab.own(new LabProcess(name, site.host.spawn(process.execPath, all, { PEERLOOM_EDGE: "" })));
  };
  const receiver = spawn("receiver", receiverSite, names[0] as AccessName, ["receive"]);
  const id = textOf(await receiver.event("ready", START_TIMEOUT_MS), "id") ?? "";
  const words = ["send", id, "--bytes", String(bytes), "--pace", String(pace), "--seed", String(seed)];
  const sender = spawn("sender", senderSite, names[1] as AccessName, words);
  await receiver.event("progress", START_TIMEOUT_MS);
  return { receiver, sender, receiverSite };
}

/** Takes the brake off and waits for the end. */
async function finish({ receiver, sender }: Transfer): Promise<Ending> {
  sender.signal("SIGUSR2");
  const isOver = ({ event }: LabEvent): boolean => event === "done" || event === "stream-error";
  const done = await receiver.find(isOver, DONE_TIMEOUT_MS);
  const sent = await sender.find(
    ({ event }) => event === "sent" || event === "stream-error",
    DONE_TIMEOUT_MS,
  );
  const streamErrors = [...receiver.events, ...sender.events]
    .filter(({ event }) => event === "stream-error" || event === "lost")
    .map((event) => textOf(event, "message") ?? textOf(event, "code") ?? event.event);
  const sha256 = textOf(done, "sha256");
  return {
    bytes: Number(done?.["bytes"] ?? lastBytes(receiver)),
    equal: sha256 !== undefined && sha256 === textOf(sent, "sha256"),
    sha256,
    streamErrors,
  };
}

/** Resolves once the receiver's session is on a direct path. One that a short kill did not end is the one from before. */
async function isDirect(receiver: LabProcess): Promise<void> {
  const isNow = (): boolean => lastPathOf(receiver)?.["kind"] === "direct";
  if ((await receiver.find(isNow, DIRECT_TIMEOUT_MS)) === undefined)
    throw new Error(`no direct path within ${DIRECT_TIMEOUT_MS} ms: ${JSON.stringify(lastPathOf(receiver))}`);
}

/** What would carry the direct path is dropped, or answered with a reset; the edge stays reachable. */
function deadPath(how: "drop" | "reset"): string {
  const tcp = how === "drop" ? "drop" : "reject with tcp reset";
  const chain = (hook: string): string =>
    `chain ${hook} { type filter hook ${hook} priority -200; meta l4proto udp drop; tcp dport ${LISTEN_PORT} ${tcp}; tcp sport ${LISTEN_PORT} ${tcp}; }`;
  return `table inet dead {\n${chain("input")}\n${chain("output")}\n}`;
}

function longestGapMs(receiver: LabProcess, fromMs: number, toMs: number): number {
  const gaps = receiver.events.filter(({ event, fromMs: at, ms }) => {
    const [startMs, longMs] = [Number(at), Number(ms)];
    return event === "gap" && startMs + longMs > fromMs && startMs < toMs;
  });
  return Math.max(0, ...gaps.map(({ ms }) => Number(ms)));
}

function wallMsOf(event: LabEvent): number {
  return Number(event["wallMs"]);
}

function lastBytes(receiver: LabProcess): number {
  return Number(receiver.events.findLast(({ event }) => event === "progress")?.["bytes"] ?? 0);
}

function lastPathOf(receiver: LabProcess): LabEvent | undefined {
  return receiver.events.findLast(({ event }) => event === "path");
}
