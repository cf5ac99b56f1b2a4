/** `edge admin`: who of a private network is at its edge, and whom it keeps out. Only the network's owner is told. */
import { PeerloomError } from "../../shared/errors.ts";
import type { Command } from "./command.ts";
import { dataFolderPath } from "./data-folder.ts";

export const edgeAdmin: Command = {
  name: "edge admin",
  synopsis: "",
  summary: "who of a network that this data folder owns is at its edge, and who is banned there",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {},
  serves: false,
  run: async ({ options, host, output, signal }) => {
    if (typeof options.edge !== "string")
      throw new PeerloomError("usage/invalid", "Name the edge with --edge URL or PEERLOOM_EDGE.");
    const networks = await host.networks(dataFolderPath(options.data, host));
    const roster = await networks.roster(await networks.named(options.network), options.edge, signal);
    for (const { id, beacon, expiresMs, invites } of roster.members) {
      const text = `${id}  ${beacon ? "beacon" : "member"}  by ${invites.at(-1) ?? "the owner"}`;
      output.result({ event: "member", id, beacon, expiresMs, invites }, text);
    }
    for (const id of roster.banned) output.result({ event: "ban", id }, `${id}  banned`);
    const { more, bans } = roster;
    output.result({ event: "done", members: roster.members.length, more, bans });
    output.note(
      `${roster.members.length + more} members hold a socket here. To put one out: peerloom ban ID`,
    );
  },
};
