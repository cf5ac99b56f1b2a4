/** `get TICKET`: fetches what somebody shares, verified chunk by chunk; run again after an interruption, it resumes. */
import { resolve } from "node:path";
import type { Session } from "../session/contract.ts";
import type { Command, CommandContext } from "./command.ts";
import { formatBytes, formatSeconds, SpeedMeter } from "../api/quantities.ts";
import { transferLine } from "./format.ts";
import type { DownloadProgress, DownloadResult } from "../services/files/download.ts";
import { parseTicket } from "../services/files/ticket.ts";
import type { CliPeer } from "./peer-contract.ts";
import { describePath, withPeer } from "./with-peer.ts";

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
    overwrite: { type: "boolean", help: "replace what stands there" },
  },
  serves: false,
  run: async (context) => {
    const [ticket = ""] = context.positionals;
    const target = context.values.text("output");
    let path = "looking for a path";
    const onPath = (session: Session): void => {
      path = describePath(session.path);
    };
    context.output.note("Connecting …");
    const { network, edge } = parseTicket(ticket);
    const defaults = edge === undefined ? { network } : { network, edge };
    await withPeer(context, { role: "any", onPath, defaults }, async (peer) => {
      const result = await download(peer, ticket, target, () => path, context);
      tellDone(result, context);
    });
  },
};

async function download(
  peer: CliPeer,
  ticket: string,
  target: string | undefined,
  path: () => string,
  { output, values, host }: CommandContext,
): Promise<DownloadResult> {
  const transfer = peer.files.get(ticket);
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
  output.result(
    { event: "done", path, bytes, seconds, sources, hash, by: { direct: by.direct, relay: by.relay } },
    `${path}: ${formatBytes(bytes)} in ${formatSeconds(seconds)}, verified ${hash}${ways.length > 0 ? `; ${ways.join(", ")}` : ""}`,
  );
}
