/**
 * `get TICKET`: fetches what somebody shares, from all who have some of it, verified chunk by chunk; run again after an
 * interruption, it resumes. While it runs it serves what it has; with `--seed` it goes on after the end.
 */
import { resolve } from "node:path";
import type { Session } from "../session/contract.ts";
import type { Command, CommandContext } from "./command.ts";
import { formatBytes, formatSeconds, SpeedMeter } from "../api/quantities.ts";
import { transferLine } from "./format.ts";
import type { DownloadProgress, DownloadResult } from "../services/files/download.ts";
import type { Download } from "./peer-contract.ts";
import { placeOf } from "./share.ts";
import { applyLimits, checkLimits, LIMIT_OPTIONS } from "./transfer-options.ts";
import { describePath, untilStopped, withPeer } from "./with-peer.ts";

export const get: Command = {
  name: "get",
  synopsis: "TICKET",
  summary: "fetch what a ticket names, verified; run it again after an interruption and it resumes",
  positionalsMin: 1,
  positionalsMax: 1,
  options: {
    output: {
      type: "string",
      short: "o",
      value: "PATH",
      help: "where it goes; default: its own name, in this folder",
    },
    overwrite: { type: "boolean", help: "replace the file that stands there, or the folder that -o names" },
    select: {
      type: "string",
      multiple: true,
      value: "PATH",
      help: "of a folder only this file, or all below this path; may be repeated",
    },
    seed: { type: "boolean", help: "go on serving it to others after the end, until stopped" },
    ...LIMIT_OPTIONS,
  },
  serves: false,
  run: async (context) => {
    const [ticket = ""] = context.positionals;
    const select = context.values.list("select");
    checkLimits(context.values);
    const target = context.values.text("output");
    const defaults = placeOf(ticket);
    let path = "looking for a path";
    const onPath = (session: Session): void => {
      path = describePath(session.path);
    };
    context.output.note("Connecting …");
    const seed = context.values.flag("seed");
    const options = { seed, ...(select.length === 0 ? {} : { select }) };
    await withPeer(context, { role: "any", onPath, defaults }, async (peer) => {
      applyLimits(peer, context.values);
      const result = await download(peer.files.get(ticket, options), target, () => path, context);
      tellDone(result, context);
      if (!seed) return;
      context.output.note("Serving it to others. Stop it with Ctrl-C.");
      await untilStopped(context.signal);
    });
  },
};

async function download(
  transfer: Download,
  target: string | undefined,
  path: () => string,
  { output, values, host }: CommandContext,
): Promise<DownloadResult> {
  const meter = new SpeedMeter();
  transfer.addEventListener("progress", (event) => {
    const { bytes, total, sources } = (event as CustomEvent<DownloadProgress>).detail;
    meter.add(performance.now(), bytes);
    const line = (): string =>
      transferLine({ bytes, total, sources, bytesPerSecond: meter.bytesPerSecond(), path: path() });
    output.progress({ event: "progress", bytes, total, sources }, line, bytes === total);
  });
  return transfer.saveTo(target === undefined ? undefined : resolve(host.workingFolder, target), {
    overwrite: values.flag("overwrite"),
  });
}

function tellDone(result: DownloadResult, { output }: CommandContext): void {
  const { path, bytes, seconds, sources, hash, by } = result;
  const ways = [
    ...(by.direct > 0 ? [`${formatBytes(by.direct)} direct`] : []),
    ...(by.relay > 0 ? [`${formatBytes(by.relay)} relayed`] : []),
  ];
  const from = sources > 1 ? ` from ${sources} sources` : "";
  output.result(
    { event: "done", path, bytes, seconds, sources, hash, by: { direct: by.direct, relay: by.relay } },
    `${path}: ${formatBytes(bytes)} in ${formatSeconds(seconds)}${from}, verified ${hash}${ways.length > 0 ? `; ${ways.join(", ")}` : ""}`,
  );
}
