/** `share PATH…`: offers files or folders, prints a ticket for each, and serves them until it is stopped. */
import { resolve } from "node:path";
import type { Command, CommandContext } from "./command.ts";
import { formatBytes, SpeedMeter } from "../api/quantities.ts";
import { transferLine } from "./format.ts";
import type { CliPeer } from "./peer-contract.ts";
import { untilStopped, withPeer } from "./with-peer.ts";

export const share: Command = {
  name: "share",
  synopsis: "PATH…",
  summary: "offer files or folders; prints a ticket for each and serves until it is stopped",
  positionalsMin: 1,
  positionalsMax: 64,
  options: {
    unlisted: { type: "boolean", help: "only who has the ticket finds it; else others find it by its name" },
  },
  serves: true,
  run: (context) =>
    withPeer(context, { role: "owner" }, async (peer) => {
      for (const path of context.positionals) await shareOne(peer, path, context);
      context.output.note(
        context.values.flag("unlisted")
          ? "Unlisted: only who is given a ticket can find and fetch it."
          : `Listed: all of network "${peer.network}" can find it by its name and fetch it. To prevent that: share --unlisted`,
      );
      context.output.note("Serving. Keep this running until the others have it; stop it with Ctrl-C.");
      await untilStopped(context.signal);
    }),
};

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
  const { ticket, hash, bytes, name } = await peer.files.share(resolve(host.workingFolder, path), {
    onProgress,
    listed: !values.flag("unlisted"),
  });
  output.note(`${name}: ${formatBytes(bytes)}, hash ${hash}. To get it:`);
  output.result({ event: "shared", ticket, hash, bytes, name }, `peerloom get ${ticket}`);
}
