/**
 * What a stream outlives, between two processes in the laboratory, as one JSON object a line:
 * `node test/natlab/survive.ts --sleep SECONDS [--who receiver|sender]`: one process is stopped (SIGSTOP) for so long under a running transfer;
 * `node test/natlab/survive.ts --kills 100 [--bytes 1073741824] [--seed N]`: the direct path is killed so often in one transfer; what both sides logged
 * around each silence of over a second goes to standard error.
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
/** A longer silence than this is explained, from so long before it until so long after. */
const GAP_MS_MAX = 1_000;
const AROUND_MS = 300;

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
    const lasts = random.unit() < LONG_SHARE ? LONG_KILL_MS : KILL_MS;
    if (lasts === LONG_KILL_MS) long += 1;
    await sleep(between(lasts));
    receiverSite.host.rules("delete table inet dead");
  }
  await isDirect(receiver);
  const ending = await finish(transfer);
  const gaps = killsAtMs.map((fromMs, i) => longestGap(receiver, fromMs, killsAtMs[i + 1] ?? Infinity));
  const isLong = ({ ms }: Gap): boolean => ms > GAP_MS_MAX;
  gaps.forEach((gap, i) => {
    if (isLong(gap)) console.error(`kill ${i + 1}: ${explain(gap, killsAtMs[i] ?? 0, transfer)}`);
  });
  const sorted = gaps.map(({ ms }) => ms).toSorted((a, b) => a - b);
  return {
    kills: killsAtMs.length,
    long,
    of: Object.fromEntries(["tcp", "webrtc"].map((kind) => [kind, killed.filter((k) => k === kind).length])),
    access: values.access,
    seed,
    ...ending,
    worstGapMs: sorted.at(-1),
    medianGapMs: sorted[Math.floor(sorted.length / 2)],
    gapsOverOneSecond: gaps.filter(isLong).length,
  };
}

async function begin(bytes: number, pace: number): Promise<Transfer> {
  const names = values.access.split("/") as AccessName[];
  const [receiverSite, senderSite] = names.map((name) => lab.site(name)) as [Site, Site];
  const spawn = (name: string, site: Site, access: AccessName, words: readonly string[]): LabProcess => {
    const listen = ACCESS[access].listens ? ["--listen", `0.0.0.0:${LISTEN_PORT}`] : [];
    const all = [PROGRAM, ...words, "--edge", site.edge, ...listen];
    return lab.own(
      new LabProcess(
        name,
        site.host.spawn(process.execPath, all, { PEERLOOM_EDGE: "", PEERLOOM_LOG: "debug" }),
      ),
    );
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

interface Gap {
  readonly fromMs: number;
  readonly ms: number;
}

function longestGap(receiver: LabProcess, fromMs: number, toMs: number): Gap {
  let longest: Gap = { fromMs, ms: 0 };
  for (const { event, fromMs: at, ms } of receiver.events) {
    const gap = { fromMs: Number(at), ms: Number(ms) };
    const isMeanwhile = gap.fromMs + gap.ms > fromMs && gap.fromMs < toMs;
    if (event === "gap" && isMeanwhile && gap.ms > longest.ms) longest = gap;
  }
  return longest;
}

/** What both sides logged around it, a line each, with the time since the kill. */
function explain({ fromMs, ms }: Gap, killedAtMs: number, { receiver, sender }: Transfer): string {
  const lines = [receiver, sender].flatMap(({ name, logged }) =>
    logged.flatMap((text) => {
      const { timeMs } = JSON.parse(text) as { readonly timeMs: number };
      const isAround = timeMs > fromMs - AROUND_MS && timeMs < fromMs + ms + AROUND_MS;
      return isAround ? [{ timeMs, text: `${name.padEnd(8)} ${text}` }] : [];
    }),
  );
  const since = (timeMs: number): string => `${Math.round(timeMs - killedAtMs)} ms`.padStart(9);
  return [
    `${ms} ms of silence`,
    `${since(fromMs)} ${"receiver".padEnd(8)} last bytes before`,
    ...lines.toSorted((a, b) => a.timeMs - b.timeMs).map(({ timeMs, text }) => `${since(timeMs)} ${text}`),
    `${since(fromMs + ms)} ${"receiver".padEnd(8)} bytes again`,
  ].join("\n");
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
