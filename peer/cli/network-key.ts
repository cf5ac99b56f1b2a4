/** `network key`: the key by which a private network is owned, for the edge's page `/admin` or for another data folder to keep. */
import type { Command } from "./command.ts";
import { dataFolderPath } from "./data-folder.ts";

export const networkKey: Command = {
  name: "network key",
  synopsis: "",
  summary: "print the owner's key of a network that this data folder owns, for the edge's page /admin",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {},
  serves: false,
  run: async ({ options, host, output }) => {
    const networks = await host.networks(dataFolderPath(options.data, host));
    const network = await networks.named(options.network);
    const key = await networks.ownerKey(network);
    output.result({ event: "owner-key", network, key }, key);
    output.note(
      `Whoever has it owns ${network}: paste it into ${options.edge ?? "EDGE"}/admin, and keep it nowhere.`,
    );
  },
};
