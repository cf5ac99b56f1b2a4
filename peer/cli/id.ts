/** `id`: the peer id of this data folder, made now when there is none yet. Needs neither edge nor network. */
import { PeerloomError } from "../../shared/errors.ts";
import type { Command, CommandContext } from "./command.ts";
import { askControl } from "./control-socket.ts";
import { type DataFolder, dataFolderPath, openDataFolder } from "./data-folder.ts";

export const id: Command = {
  name: "id",
  synopsis: "",
  summary: "print the peer id of this data folder; the first time it is made",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {},
  serves: false,
  run: async (context) => {
    const peerId = await readId(context);
    context.output.result({ event: "id", id: peerId }, peerId);
  },
};

async function readId(context: CommandContext): Promise<string> {
  const path = dataFolderPath(context.options.data, context.host);
  let folder: DataFolder;
  try {
    folder = await openDataFolder(path, context.command.name, "owner");
  } catch (error) {
    if (!(error instanceof PeerloomError) || error.code !== "data/locked") throw error;
    return askId(path, error);
  }
  try {
    const peer = await context.host.openPeer({
      edge: null,
      webrtc: false,
      dataDir: folder.statePath,
      signal: context.signal,
    });
    await peer.close();
    return peer.id;
  } finally {
    await folder.close();
  }
}

/** The owner knows it. One that does not answer is on its way out or in; the lock's message says who it is. */
async function askId(path: string, locked: PeerloomError): Promise<string> {
  const answer = await askControl(path, "status").catch(() => undefined);
  if (typeof answer === "object" && answer !== null && "id" in answer && typeof answer.id === "string")
    return answer.id;
  throw locked;
}
