/** `status`: what the peer that runs on this data folder is doing, asked over its control socket. */
import { PeerloomError } from "../../shared/errors.ts";
import type { Command } from "./command.ts";
import { askControl } from "./control-socket.ts";
import { counted } from "../api/quantities.ts";
import { describeMapping } from "./format.ts";
import { dataFolderPath } from "./data-folder.ts";

/** A status as it came from the other process: fields are shown, never trusted. */
interface StatusAnswer {
  readonly id: unknown;
  readonly edge: unknown;
  readonly peers: readonly Readonly<Record<string, unknown>>[];
  readonly listen: readonly unknown[];
  readonly mapping: Readonly<Record<string, unknown>> | null;
  readonly shares: readonly unknown[];
  readonly topics: readonly Readonly<Record<string, unknown>>[];
  readonly overlay: Readonly<Record<string, unknown>> | null;
  readonly records: Readonly<Record<string, unknown>>;
  readonly command: unknown;
  readonly pid: unknown;
}

export const status: Command = {
  name: "status",
  synopsis: "",
  summary: "what the peer that runs on this data folder is doing, and why paths are as they are",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {},
  serves: false,
  run: async ({ options, host, output }) => {
    const answer = readAnswer(await askControl(dataFolderPath(options.data, host), "status"));
    output.result({ event: "status", ...answer }, describe(answer));
  },
};

function readAnswer(value: unknown): StatusAnswer {
  if (typeof value !== "object" || value === null || !("id" in value)) {
    throw new PeerloomError(
      "data/not-running",
      "The peer on this data folder gave no status. Is it another version? Restart it.",
    );
  }
  const { id, edge, peers, listen, mapping, shares, topics, overlay, records, command, pid } =
    value as Partial<StatusAnswer>;
  return {
    id,
    edge: edge ?? null,
    peers: list(peers),
    listen: list(listen),
    mapping: mapping ?? null,
    shares: list(shares),
    topics: list(topics),
    overlay: overlay ?? null,
    records: records ?? {},
    command,
    pid,
  };
}

function list<T>(value: readonly T[] | undefined): readonly T[] {
  return Array.isArray(value) ? value : [];
}

function describeOverlay({ links, relayed, dropped }: Readonly<Record<string, unknown>>): string {
  const how = typeof relayed === "number" && relayed > 0 ? ` (${relayed} over the edge's relay)` : "";
  return `${counted(links, "link")}${how}, ${counted(dropped, "message")} dropped`;
}

function describe(answer: StatusAnswer): string {
  const { id, edge, peers, listen, mapping, shares, topics, overlay, records, command, pid } = answer;
  return [
    `id       ${String(id)}`,
    `edge     ${typeof edge === "string" ? edge : "none"}`,
    `listens  ${listen.join(" ") || "no"}`,
    ...(mapping === null ? [] : [`router   ${describeMapping(mapping)}`]),
    `shares   ${shares.length}`,
    `topics   ${topics.map(({ name, peers: others }) => `${String(name)} (${counted(others, "peer")})`).join(", ") || "none"}`,
    `overlay  ${overlay === null ? "off" : describeOverlay(overlay)}`,
    `records  ${typeof records["kept"] === "number" ? records["kept"] : 0} kept for others`,
    `runs     peerloom ${String(command)}, process ${String(pid)}`,
    `peers    ${peers.length}`,
    ...peers.map((peer) => {
      const rtt = typeof peer["rttMs"] === "number" ? `${peer["rttMs"].toFixed(1)} ms` : "-";
      const why = peer["path"] === "direct" ? "" : `  ${String(peer["why"])}`;
      return `  ${String(peer["id"])}  ${String(peer["path"])}  ${String(peer["transport"])}  ${rtt}${why}`;
    }),
  ].join("\n");
}
