/**
 * `demo`: the main job on one machine, explained as it goes. An edge, two peers in processes of their own, one file
 * twice: through the relay, then straight. Nothing leaves the machine and nothing stays on it.
 */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PeerloomError } from "../../shared/errors.ts";
import { ChildCommand } from "./child-command.ts";
import type { Command, CommandContext } from "./command.ts";
import { formatBytes, formatSeconds, SpeedMeter } from "../api/quantities.ts";
import { transferLine } from "./format.ts";
import { untilAborted } from "../overlay/abort.ts";

export const demo: Command = {
  name: "demo",
  synopsis: "",
  summary: "see it work on this machine alone: an edge, two peers, a file by relay and by direct path",
  positionalsMin: 0,
  positionalsMax: 0,
  options: { size: { type: "string", value: "MB", help: "the file's size; default: 64" } },
  serves: false,
  run: async (context) => {
    const megabytes = context.values.integer("size", { min: 1, max: 10_000, default: 64 });
    const folder = await mkdtemp(join(tmpdir(), "peerloom-demo-"));
    const closing: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
    try {
      await untilAborted(play(folder, megabytes, closing, context), context.signal);
    } finally {
      for (const close of closing.toReversed()) await close();
    }
    context.output.note('All stopped and removed. Next: README, "Deploy your own edge".');
  },
};

interface Transfer {
  readonly seconds: number;
  readonly by: { readonly direct: number; readonly relay: number };
}

async function play(
  folder: string,
  megabytes: number,
  closing: (() => Promise<void>)[],
  context: CommandContext,
): Promise<void> {
  const { output, host } = context;
  const step = (text: string): void => output.note(text, { event: "step", text });

  step("1. An edge starts here, in workerd: the very bundle that a deploy puts on Cloudflare.");
  const edge = await host.startEdge({ host: "127.0.0.1", port: 0 });
  closing.push(() => edge.stop());
  const url = edge.url.replace(/\/+$/, "");

  const file = join(folder, "original.bin");
  const bytes = megabytes * 1_000_000;
  await writeRandomFile(file, bytes);
  step(`2. Anna, a peer in a process of its own, shares a file of ${formatBytes(bytes)} random bytes.`);
  const anna = new ChildCommand(
    host.self,
    [
      "share",
      file,
      "--edge",
      url,
      "--network",
      "demo",
      "--data",
      join(folder, "anna"),
      "--listen",
      "127.0.0.1:0",
    ],
    childEnvironment(context),
  );
  closing.push(() => anna.stop());
  const ticket = String((await anna.waitFor("shared"))["ticket"]);
  step(`   Her ticket names the file's hash and where she is: ${ticket.slice(0, 48)}…`);

  const original = await sha256File(file);
  const fetch = async (name: string, only: "relay" | "direct"): Promise<Transfer> => {
    const copy = join(folder, `${name}.bin`);
    const words = [
      "get",
      ticket,
      "-o",
      copy,
      "--edge",
      url,
      "--network",
      "demo",
      "--data",
      join(folder, name),
      "--only",
      only,
    ];
    const transfer = await runGet(words, only, closing, context);
    if ((await sha256File(copy)) !== original)
      throw new PeerloomError("files/corrupt", `The copy by ${only} differs from the original.`);
    output.note(
      `   ${describeTransfer(transfer, bytes)}; SHA-256 of both files: ${original.slice(0, 16)}…, equal.`,
    );
    return transfer;
  };
  step("3. Ben gets it through the edge's relay, which sees sealed frames only (get --only relay).");
  const relay = await fetch("ben", "relay");
  step("4. Carla gets it straight from Anna, past the edge (get --only direct).");
  const direct = await fetch("carla", "direct");

  output.result(
    { event: "done", bytes, sha256: original, relay, direct },
    `Both copies are the original: relayed in ${formatSeconds(relay.seconds)}, direct in ${formatSeconds(direct.seconds)}.`,
  );
}

async function runGet(
  words: readonly string[],
  path: string,
  closing: (() => Promise<void>)[],
  context: CommandContext,
): Promise<Transfer> {
  const child = new ChildCommand(context.host.self, words, childEnvironment(context));
  closing.push(() => child.stop());
  const meter = new SpeedMeter();
  const done = await child.waitFor("done", (event) => {
    if (event.event !== "progress") return;
    const [bytes, total, sources] = [
      Number(event["bytes"]),
      Number(event["total"]),
      Number(event["sources"]),
    ];
    meter.add(performance.now(), bytes);
    context.output.progress(undefined, () =>
      transferLine({ bytes, total, sources, path, bytesPerSecond: meter.bytesPerSecond() }),
    );
  });
  const by = done["by"] as Transfer["by"];
  return { seconds: Number(done["seconds"]), by: { direct: Number(by.direct), relay: Number(by.relay) } };
}

function describeTransfer({ seconds, by }: Transfer, bytes: number): string {
  return `${formatSeconds(seconds)}, ${formatBytes(Math.round(bytes / Math.max(seconds, 0.001)))}/s; ${formatBytes(by.relay)} relayed, ${formatBytes(by.direct)} direct`;
}

/** The children take their edge from the command line alone. */
function childEnvironment({ host }: CommandContext): Readonly<Record<string, string | undefined>> {
  return { ...host.environment, PEERLOOM_EDGE: undefined };
}

async function writeRandomFile(path: string, bytes: number): Promise<void> {
  const file = await open(path, "wx");
  try {
    for (let left = bytes; left > 0; left -= 1_000_000)
      await file.write(randomBytes(Math.min(left, 1_000_000)));
  } finally {
    await file.close();
  }
}

async function sha256File(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}
