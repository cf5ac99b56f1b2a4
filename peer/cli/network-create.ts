/** `network create`: a private network that this data folder owns. Needs neither edge nor network: a key is made, and its name follows. */
import type { Command } from "./command.ts";
import { dataFolderPath } from "./data-folder.ts";

export const networkCreate: Command = {
  name: "network create",
  synopsis: "",
  summary: "make a private network, whose owner's key is kept in this data folder, and print its name",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {},
  serves: false,
  run: async ({ options, host, output }) => {
    const network = await (await host.networks(dataFolderPath(options.data, host))).create();
    output.result({ event: "network", network }, network);
    output.note(
      `Yours. Next: peerloom invite --network ${network}   The data folder is the owner: keep a copy of it.`,
    );
  },
};
