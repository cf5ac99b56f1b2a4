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
  options: {},
  serves: true,
  run: (context) =>
    withPeer(context, { role: "owner" }, async (peer) => {
      for (const path of context.positionals) await shareOne(peer, path, context);
      context.output.note("Serving. Keep this running until the others have it; stop it with Ctrl-C.");
      await untilStopped(context.signal);
    }),
};

async function shareOne(peer: CliPeer, path: string, { output, host }: CommandContext): Promise<void> {
  const meter = new SpeedMeter();
  const onProgress = (progress: { readonly bytes: number; readonly total: number }): void => {
    meter.add(performance.now(), progress.bytes);
    const state = { ...progress, bytesPerSecond: meter.bytesPerSecond(), sources: 0, path: "reading" };
    output.progress(undefined, () => transferLine(state));
  };
  const { ticket, hash, bytes, name } = await peer.files.share(resolve(host.workingFolder, path), {
    onProgress,
  });
  output.note(`${name}: ${formatBytes(bytes)}, hash ${hash}. To get it:`);
  output.result({ event: "shared", ticket, hash, bytes, name }, `peerloom get ${ticket}`);
}
