/** `put`, `set` and `lookup`: small values that the peers of a network keep for each other. */
import { utf8Decode } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { parsePeerId } from "../../shared/ids.ts";
import { RECORD_KEY_BYTES, VALUE_BYTES_MAX } from "../services/records/record.ts";
import type { StoredRecord } from "../services/records/records.ts";
import type { RecordValue } from "../services/records/value.ts";
import type { Command, CommandContext } from "./command.ts";
import { printed, shown } from "./value-output.ts";
import { withPeer } from "./with-peer.ts";

/** Stands for standard input. */
const STDIN = "-";

export const put: Command = {
  name: "put",
  synopsis: "VALUE|-",
  summary: "have others keep a value (1,023 bytes at most; - reads standard input) and print its key",
  positionalsMin: 1,
  positionalsMax: 1,
  options: {},
  serves: false,
  run: async (context) => {
    const value = await valueOf(context.positionals[0] ?? "", context);
    await withPeer(context, { role: "any" }, async (peer) => {
      const { key, copies } = kept(await peer.records.store(value, { signal: context.signal }));
      context.output.note(`Kept by ${copies} peers.`);
      context.output.result({ event: "stored", key, copies }, key);
    });
  },
};

export const set: Command = {
  name: "set",
  synopsis: "NAME VALUE|-",
  summary: "set a name of this peer's own to a value; others look up ID/NAME",
  positionalsMin: 2,
  positionalsMax: 2,
  options: {
    cas: {
      type: "string",
      value: "SEQ",
      help: "only if the version there has this number; 0: if there is none",
    },
  },
  serves: false,
  run: async (context) => {
    const [name = "", text = ""] = context.positionals;
    const cas =
      context.values.text("cas") === undefined
        ? {}
        : { cas: context.values.integer("cas", { min: 0, max: Number.MAX_SAFE_INTEGER, default: 0 }) };
    const value = await valueOf(text, context);
    await withPeer(context, { role: "any" }, async (peer) => {
      const { key, copies, seq } = kept(
        await peer.records.set(name, value, { ...cas, signal: context.signal }),
      );
      context.output.note(`Version ${seq}, kept by ${copies} peers.`);
      context.output.result({ event: "stored", key, copies, seq }, `${peer.id}/${name}`);
    });
  },
};

export const lookup: Command = {
  name: "lookup",
  synopsis: "KEY|ID/NAME",
  summary: "print the value of a key, or of a name that a peer has set",
  positionalsMin: 1,
  positionalsMax: 1,
  options: {},
  serves: false,
  run: async (context) => {
    const [text = ""] = context.positionals;
    const [id, name] = address(text);
    await withPeer(context, { role: "any" }, async (peer) => {
      const found = await peer.records.find(id, name, { signal: context.signal });
      if (found === undefined) {
        throw new PeerloomError(
          "records/not-found",
          "Nobody who could be asked has it. Is it the right key, in this network?",
        );
      }
      const { key, value, seq } = found;
      const version = name === undefined ? {} : { seq };
      context.output.result({ event: "found", key, ...shown(value), ...version }, printed(value));
    });
  },
};

/** A key, or an id and a name. @throws PeerloomError `usage/invalid` */
function address(text: string): [string, string?] {
  const slash = text.indexOf("/");
  if (slash < 0 && new RegExp(`^[0-9a-f]{${2 * RECORD_KEY_BYTES}}$`, "i").test(text)) return [text];
  const id = text.slice(0, Math.max(slash, 0));
  if (slash >= 0 && parsePeerId(id) !== undefined && slash < text.length - 1)
    return [id, text.slice(slash + 1)];
  throw new PeerloomError(
    "usage/invalid",
    `"${text.slice(0, 80)}" is neither a key (${2 * RECORD_KEY_BYTES} hexadecimal digits) nor ID/NAME.`,
  );
}

async function valueOf(text: string, { host }: CommandContext): Promise<RecordValue> {
  if (text !== STDIN) return text;
  const bytes = await host.readInput(VALUE_BYTES_MAX);
  try {
    return utf8Decode(bytes);
  } catch {
    return bytes; // Not text.
  }
}

/** A command ends, and with it what only its own peer keeps. */
function kept(stored: StoredRecord): StoredRecord {
  if (stored.copies > 0) return stored;
  throw new PeerloomError(
    "records/not-stored",
    "No other peer is there to keep it. Run one, in this network: peerloom up",
  );
}
