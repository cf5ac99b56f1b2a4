/** `invite`, `invite list`, `invite revoke`, `ban` and `unban`: who is a member of a private network. */
import { type Ability, ABILITY } from "../../shared/credential.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { short, requirePeerId } from "../../shared/ids.ts";
import type { BanReceipt } from "../services/membership/open-membership.ts";
import type { Command, CommandContext } from "./command.ts";
import { dataFolderPath } from "./data-folder.ts";
import { parseBytes } from "./transfer-options.ts";
import { withPeer } from "./with-peer.ts";

const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const DURATION = /^([1-9]\d{0,5})([smhd])$/;

export const invite: Command = {
  name: "invite",
  synopsis: "",
  summary: "make an invite to a private network: one URL; whoever has it may join",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {
    expires: {
      type: "string",
      value: "TIME",
      help: "ends after this, as 90s, 30m, 12h or 7d, and with it who came by it; default: never",
    },
    uses: { type: "string", value: "N", help: "members it may bring; default: any number" },
    can: {
      type: "string",
      value: "WORDS",
      help: "of relay,publish,index,compute, with commas; relay:100MB so much a day; join: none of them; default: all",
    },
    delegable: { type: "string", value: "N", help: "who comes by it may invite too, N deep (1 to 3)" },
  },
  serves: false,
  run: async (context) => {
    const { values, output, host, options } = context;
    const uses = values.text("uses");
    const networks = await host.networks(dataFolderPath(options.data, host));
    const network = await networks.named(options.network);
    const { url, ...made } = await networks.invite(network, {
      edge: options.edge ?? undefined,
      delegations: values.integer("delegable", { min: 1, max: 3, default: 0 }),
      ...ttlOf(values.text("expires")),
      ...(uses === undefined ? {} : { uses: values.integer("uses", { min: 1, max: 1_000, default: 1 }) }),
      ...abilitiesOf(values.text("can")),
    });
    output.result({ event: "invite", url, network, ...made }, url);
    output.note(`Whoever has it may join ${network}. To take it back: peerloom invite revoke ${made.id}`);
  },
};

export const inviteList: Command = {
  name: "invite list",
  synopsis: "",
  summary: "invites that were made from this data folder, and whether they still hold",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {},
  serves: false,
  run: async ({ options, host, output }) => {
    const networks = await host.networks(dataFolderPath(options.data, host));
    const invites = await networks.invites(await networks.named(options.network));
    for (const one of invites) {
      const end = one.expiresAtMs === undefined ? "never" : new Date(one.expiresAtMs).toISOString();
      const text = `${one.id}  ${one.state}  ends ${end}  uses ${one.uses ?? "any"}  ${one.abilities.join(",")}`;
      output.result({ event: "invite", ...one }, text);
    }
    output.result({ event: "done", invites: invites.length });
  },
};

export const inviteRevoke: Command = {
  name: "invite revoke",
  synopsis: "ID",
  summary: "end an invite, and the membership of all who came by it",
  positionalsMin: 1,
  positionalsMax: 1,
  options: {},
  serves: false,
  run: (context) => change(context, "revoked", (peer, id) => peer.ban(id, context.signal)),
};

export const ban: Command = {
  name: "ban",
  synopsis: "ID",
  summary: "put a peer out of a private network that this data folder owns",
  positionalsMin: 1,
  positionalsMax: 1,
  options: {},
  serves: false,
  run: (context) => change(context, "banned", (peer, id) => peer.ban(id, context.signal)),
};

export const unban: Command = {
  name: "unban",
  synopsis: "ID",
  summary: "take a ban or a revocation back",
  positionalsMin: 1,
  positionalsMax: 1,
  options: {},
  serves: false,
  run: (context) => change(context, "unbanned", (peer, id) => peer.unban(id, context.signal)),
};

async function change(
  context: CommandContext,
  event: "banned" | "unbanned" | "revoked",
  act: (membership: { ban: Act; unban: Act }, id: string) => Promise<BanReceipt>,
): Promise<void> {
  const { positionals, host, options, output } = context;
  const id = requirePeerId(positionals[0] ?? "");
  const networks = await host.networks(dataFolderPath(options.data, host));
  const network = await networks.named(options.network);
  await withPeer(context, { role: "any", defaults: { network } }, async (peer) => {
    const { number, edge, peers } = await act(peer.membership, id);
    output.result({ event, id, number, edge, peers }, `${event} ${short(id)}`);
    if (!edge && peers === 0)
      output.note("Nobody could be told yet. Whoever of yours is next in this network tells the others.");
    else output.note(`${edge ? "The edge and " : ""}${peers} peers know it; they pass it on.`);
  });
}

type Act = (id: string, signal?: AbortSignal) => Promise<BanReceipt>;

function ttlOf(text: string | undefined): { readonly ttlMs?: number } {
  if (text === undefined) return {};
  const [, count, unit = ""] = DURATION.exec(text) ?? [];
  const unitMs = UNITS_MS[unit];
  if (unitMs === undefined)
    throw new PeerloomError(
      "usage/invalid",
      `--expires takes a time as 90s, 30m, 12h or 7d, not "${text.slice(0, 40)}".`,
    );
  return { ttlMs: Number(count) * unitMs };
}

function abilitiesOf(text: string | undefined): {
  readonly abilities?: readonly Ability[];
  readonly relayBytesPerDay?: number;
} {
  if (text === undefined) return {};
  let relayBytesPerDay: number | undefined;
  const words = text.split(",").map((said) => {
    const [word = "", quota] = said.trim().split(":", 2);
    if (quota === undefined) return word;
    if (word !== "relay")
      throw new PeerloomError(
        "usage/invalid",
        `Only relay has a quota, as relay:100MB, not ${word.slice(0, 40)}.`,
      );
    relayBytesPerDay = parseBytes(quota);
    if (relayBytesPerDay === undefined)
      throw new PeerloomError(
        "usage/invalid",
        `A quota is bytes a day, as relay:500kB, relay:100MB or relay:1GiB, not "${quota.slice(0, 40)}".`,
      );
    return word;
  });
  const unknown = words.find((word) => word !== "join" && !Object.hasOwn(ABILITY, word));
  if (unknown !== undefined) {
    throw new PeerloomError(
      "usage/invalid",
      `--can takes join, ${Object.keys(ABILITY).join(", ")}, not "${unknown.slice(0, 40)}".`,
    );
  }
  return {
    abilities: words.filter((word): word is Ability => word !== "join"),
    ...(relayBytesPerDay !== undefined && { relayBytesPerDay }),
  };
}
