/** `search WORDS…`: what peers of the network share under these words, found by the edge's index, the overlay, or the neighbours. */
import { PeerloomError } from "../../shared/errors.ts";
import { LIMIT_MAX } from "../services/search/protocol.ts";
import { SEARCH_DEFAULTS, type SearchHit, type SearchVia } from "../services/search/search.ts";
import type { Command } from "./command.ts";
import { counted, formatBytes } from "../api/quantities.ts";
import { withPeer } from "./with-peer.ts";

const WAYS: readonly SearchVia[] = ["auto", "index", "dht", "flood"];
const SECONDS_MAX = 30;

export const search: Command = {
  name: "search",
  synopsis: "WORDS…",
  summary: "find what others share by the words of its name; prints a ticket for each",
  positionalsMin: 1,
  positionalsMax: 64,
  options: {
    via: {
      type: "string",
      value: "WAY",
      help: "auto (the cheapest that answers), index (the edge), dht (the overlay) or flood (neighbours)",
    },
    limit: { type: "string", value: "N", help: `end with so many hits; default: ${SEARCH_DEFAULTS.limit}` },
    timeout: {
      type: "string",
      value: "SECONDS",
      help: `end by then; default: ${SEARCH_DEFAULTS.timeoutMs / 1_000}`,
    },
  },
  serves: false,
  run: async (context) => {
    const { positionals, values, output, signal } = context;
    const text = positionals.join(" ");
    const via = readVia(values.text("via"));
    const limit = values.integer("limit", { min: 1, max: LIMIT_MAX, default: SEARCH_DEFAULTS.limit });
    const seconds = values.integer("timeout", {
      min: 1,
      max: SECONDS_MAX,
      default: SEARCH_DEFAULTS.timeoutMs / 1_000,
    });
    output.note("Connecting …");
    await withPeer(context, { role: "any" }, async (peer) => {
      output.note(`Searching for ${text} …`);
      let hits = 0;
      for await (const hit of peer.search(text, { via, limit, timeoutMs: seconds * 1_000, signal })) {
        hits += 1;
        output.result({ event: "hit", ...fields(hit) }, line(hit));
      }
      output.result({ event: "done", hits });
      output.note(hits === 0 ? "Nothing found." : `${hits} found. To fetch one: peerloom get TICKET`);
    });
  },
};

/** @throws PeerloomError `usage/invalid` */
function readVia(text: string = SEARCH_DEFAULTS.via): SearchVia {
  const via = WAYS.find((way) => way === text);
  if (via !== undefined) return via;
  throw new PeerloomError("usage/invalid", `--via takes ${WAYS.join(", ")}; not "${text.slice(0, 80)}".`);
}

function fields({ name, bytes, hash, ticket, via, sources }: SearchHit): SearchHit {
  return { name, bytes, hash, ticket, via, sources };
}

function line({ name, bytes, ticket, via, sources }: SearchHit): string {
  return `${name}  ${formatBytes(bytes)}  ${counted(sources, "peer")}  (${via})\n  ${ticket}`;
}
