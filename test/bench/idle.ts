/**
 * What an idle session costs the network, in the NAT laboratory: bytes of IP packets that one end sends and receives, counted by nft in its own
 * namespace, to and from the other end, and to and from the edge. `node test/bench/idle.ts [--seconds 120]` prints one JSON object a transport,
 * without the overlay and with it, whose upkeep is the difference.
 */
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Lab, type Site } from "../natlab/lab.ts";
import { LabProcess, textOf } from "../natlab/lab-process.ts";
import { command, whyImpossible } from "../natlab/namespace.ts";
import type { AccessName } from "../natlab/nat.ts";

const PROGRAM = fileURLToPath(new URL("../natlab/stream-peer.ts", import.meta.url));
const EDGE_ADDRESS = "203.0.113.10";
/** Joining, negotiating and the first looks around are over by then. */
const SETTLE_MS = 30_000;
const START_TIMEOUT_MS = 60_000;
const GOAL_BYTES_PER_SECOND = 20;

const CASES: readonly { readonly transport: string; readonly access: readonly [AccessName, AccessName] }[] = [
  { transport: "tcp", access: ["listening", "open"] },
  { transport: "webrtc", access: ["port-restricted", "port-restricted"] },
];

const { values } = parseArgs({ options: { seconds: { type: "string", default: "120" } } });
const seconds = Number(values.seconds);
const impossible = whyImpossible();
if (impossible !== undefined) {
  console.error(`The NAT laboratory is skipped: ${impossible}.`);
  process.exit(0);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));

const lab = await Lab.open();
try {
  for (const { transport, access } of CASES) {
    const [bare, overlay] = await Promise.all([
      measure(access, ["--network", `${transport}-bare`, "--no-overlay"]),
      measure(access, ["--network", transport]),
    ]);
    console.log(
      JSON.stringify({
        bench: "idle",
        transport,
        paths: [bare.path, overlay.path],
        seconds,
        sessionBytesPerSecond: bare.session,
        goal: GOAL_BYTES_PER_SECOND,
        overlayUpkeepBytesPerSecond: overlay.session - bare.session,
        edgeBytesPerSecond: { without: bare.edge, withOverlay: overlay.edge },
      }),
    );
  }
} finally {
  await lab.close();
}

async function measure(
  access: readonly [AccessName, AccessName],
  words: readonly string[],
): Promise<{ path: string | undefined; session: number; edge: number }> {
  const [first, second] = [lab.site(access[0]), lab.site(access[1])];
  const listen = access[0] === "listening" ? ["--listen", "0.0.0.0:4000"] : [];
  const receiver = run(first, ["receive", ...listen, ...words]);
  const id = textOf(await receiver.event("ready", START_TIMEOUT_MS), "id") ?? "";
  const holder = run(second, ["hold", id, ...words]);
  const isDirect = await holder.find(({ kind }) => kind === "direct", START_TIMEOUT_MS);
  if (isDirect === undefined) throw new Error("There is no direct path.");
  await sleep(SETTLE_MS);
  count(second);
  await sleep(seconds * 1_000);
  const path = textOf(
    holder.events.findLast(({ event }) => event === "path"),
    "transport",
  );
  const rate = (name: string): number => Math.round((counted(second, name) / seconds) * 10) / 10;
  const found = { path, session: rate("peer"), edge: rate("edge") };
  await Promise.all([receiver.stop(), holder.stop()]);
  return found;
}

function run(site: Site, words: readonly string[]): LabProcess {
  const all = [PROGRAM, ...words, "--edge", site.edge];
  return lab.own(
    new LabProcess(words.join(" "), site.host.spawn(process.execPath, all, { PEERLOOM_EDGE: "" })),
  );
}

/** Whatever does not go to or come from the edge or its STUN goes between the two. */
function count({ host }: Site): void {
  const chain = (hook: string, address: string): string =>
    `chain ${hook} { type filter hook ${hook} priority -150; meta nfproto ipv6 return; ip ${address} ${EDGE_ADDRESS}/30 counter name edge return; counter name peer; }`;
  host.rules(
    `table inet count {\ncounter peer {}\ncounter edge {}\n${chain("input", "saddr")}\n${chain("output", "daddr")}\n}`,
  );
}

function counted({ host }: Site, name: string): number {
  const text = command("ip", ["netns", "exec", host.name, "nft", "list", "counter", "inet", "count", name]);
  return Number(/bytes (\d+)/.exec(text)?.[1] ?? Number.NaN);
}
