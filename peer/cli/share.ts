/** `share PATH…`: offers files or folders, prints a ticket for each, and serves them until it is stopped. */
import { resolve } from "node:path";
import type { Command, CommandContext } from "./command.ts";
import { formatBytes, SpeedMeter } from "../api/quantities.ts";
import { transferLine } from "./format.ts";
import { parseTicket } from "../services/files/ticket.ts";
import { PeerloomError } from "../../shared/errors.ts";
import type { CliPeer, PeerOpenOptions } from "./peer-contract.ts";
import { applyLimits, checkLimits, LIMIT_OPTIONS } from "./transfer-options.ts";
import { untilStopped, withPeer } from "./with-peer.ts";

export const share: Command = {
  name: "share",
  synopsis: "PATH…",
  summary: "offer files or folders; prints a ticket for each and serves until it is stopped",
  positionalsMin: 1,
  positionalsMax: 64,
  options: {
    ticket: {
      type: "string",
      value: "TICKET",
      help: "join those who share it already: PATH must be what this ticket names",
    },
    unlisted: { type: "boolean", help: "only who has the ticket finds it; else others find it by its name" },
    ...LIMIT_OPTIONS,
  },
  serves: true,
  run: async (context) => {
    checkLimits(context.values);
    const ticket = context.values.text("ticket");
    if (ticket !== undefined && context.positionals.length > 1)
      throw new PeerloomError(
        "usage/invalid",
        "share --ticket takes one PATH, the one that the ticket names.",
      );
    const defaults = ticket === undefined ? {} : placeOf(ticket);
    await withPeer(context, { role: "owner", defaults }, async (peer) => {
      applyLimits(peer, context.values);
      for (const path of context.positionals) await shareOne(peer, path, context);
      context.output.note(
        context.values.flag("unlisted")
          ? "Unlisted: only who is given a ticket can find and fetch it."
          : `Listed: all of network "${peer.network}" can find it by its name and fetch it. To prevent that: share --unlisted`,
      );
      context.output.note("Serving. Keep this running until the others have it; stop it with Ctrl-C.");
      await untilStopped(context.signal);
    });
  },
};

/** Where those are whom a ticket names. @throws PeerloomError `files/ticket-invalid` */
export function placeOf(ticket: string): Pick<PeerOpenOptions, "edge" | "network"> {
  const { network, edge } = parseTicket(ticket);
  return edge === undefined ? { network } : { network, edge };
}

async function shareOne(
  peer: CliPeer,
  path: string,
  { output, host, values }: CommandContext,
): Promise<void> {
  const meter = new SpeedMeter();
  const onProgress = (progress: { readonly bytes: number; readonly total: number }): void => {
    meter.add(performance.now(), progress.bytes);
    const state = { ...progress, bytesPerSecond: meter.bytesPerSecond(), sources: 0, path: "reading" };
    output.progress(undefined, () => transferLine(state));
  };
  const joined = values.text("ticket");
  const { ticket, hash, bytes, name } = await peer.files.share(resolve(host.workingFolder, path), {
    onProgress,
    listed: !values.flag("unlisted"),
    ...(joined === undefined ? {} : { ticket: joined }),
  });
  output.note(`${name}: ${formatBytes(bytes)}, hash ${hash}. To get it:`);
  output.result({ event: "shared", ticket, hash, bytes, name }, `peerloom get ${ticket}`);
}
