/** What `share` and `get` have in common: how fast this peer gives and takes. */
import { PeerloomError } from "../../shared/errors.ts";
import type { CommandValues, OptionSpec } from "./command.ts";
import type { CliPeer } from "./peer-contract.ts";

export const LIMIT_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  "up-limit": {
    type: "string",
    value: "BYTES",
    help: "give at most so much a second, e.g. 500kB, 20MB, 4MiB",
  },
  "down-limit": { type: "string", value: "BYTES", help: "take at most so much a second" },
};

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1e3,
  kb: 1e3,
  m: 1e6,
  mb: 1e6,
  g: 1e9,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

/** `20MB` is 20,000,000 and `4MiB` 4,194,304, whatever the case; a trailing `/s` is allowed. Undefined: it is no size. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d{1,12}(?:\.\d{1,6})?) ?([a-z]*)(?:\/s)?$/i.exec(text.trim());
  const unit = UNITS[match?.[2]?.toLowerCase() ?? "?"];
  const bytes = unit === undefined ? 0 : Math.round(Number(match?.[1]) * unit);
  return bytes > 0 ? bytes : undefined;
}

/** @throws PeerloomError `usage/invalid` */
export function applyLimits(peer: CliPeer, values: CommandValues): void {
  const upload = readLimit(values, "up-limit");
  const download = readLimit(values, "down-limit");
  if (upload !== undefined || download !== undefined) peer.files.limit({ upload, download });
}

/** Before anything is opened. @throws PeerloomError `usage/invalid` */
export function checkLimits(values: CommandValues): void {
  readLimit(values, "up-limit");
  readLimit(values, "down-limit");
}

function readLimit(values: CommandValues, name: string): number | undefined {
  const text = values.text(name);
  const bytes = text === undefined ? undefined : parseBytes(text);
  if (text !== undefined && bytes === undefined) {
    throw new PeerloomError(
      "usage/invalid",
      `--${name} takes bytes a second such as 500kB, 20MB or 4MiB, not "${text.slice(0, 40)}".`,
    );
  }
  return bytes;
}
