/**
 * What `edge deploy` decides, read from wrangler.toml and written into it line by line: whatever else stands there, comments above all,
 * stays as it is. Not a TOML reader: it knows `name`, `[limits]` and the strings under `[vars]`, in the form that this project writes them.
 */
import { PeerloomError } from "../../shared/errors.ts";

/** Of Cloudflare. */
export type Plan = "free" | "paid";

export interface EdgeSettings {
  readonly name: string;
  /** Whether `[limits]`, which Cloudflare refuses on the free plan, is in force. */
  readonly plan: Plan;
  /** Strings under `[vars]`. */
  readonly vars: Readonly<Record<string, string>>;
}

/** What is written; without a plan the limits stay as they stand. */
export type NewSettings = Omit<EdgeSettings, "plan"> & { readonly plan?: Plan };

/** A string of a line, with what follows it. No escapes: what is written has none. */
const VALUE = String.raw`"([^"\\\n]*)"([^\n]*)`;
/** The table of limits with its lines, in force or as a comment. */
const LIMITS = /^(?:# )?\[limits\]\n(?:(?:# )?[a-z_]+ = [^\n]*\n)*/m;

/** @throws PeerloomError `usage/invalid` when the file has no name */
export function readSettings(toml: string): EdgeSettings {
  const name = new RegExp(`^name = ${VALUE}$`, "m").exec(toml)?.[1];
  if (name === undefined) throw unreadable('a line like: name = "peerloom-edge"');
  const found = [...varsOf(toml).text.matchAll(new RegExp(`^([A-Z][A-Z0-9_]*) = ${VALUE}$`, "gm"))];
  return {
    name,
    plan: LIMITS.exec(toml)?.[0].startsWith("[") === true ? "paid" : "free",
    vars: Object.fromEntries(found.map(([, key = "", value = ""]) => [key, value])),
  };
}

/**
 * Sets the name, what the plan allows, and these variables, and leaves all others alone. What stands there as a comment is put into force in its
 * place.
 * @throws PeerloomError `usage/invalid` for a value that cannot stand in a line, and a file without `name` or `[vars]`
 */
export function writeSettings(toml: string, { name, plan, vars }: NewSettings): string {
  readSettings(toml);
  const planned = plan === undefined ? toml : toml.replace(LIMITS, (lines) => putLimits(lines, plan));
  const named = planned.replace(new RegExp(`^name = ${VALUE}$`, "m"), (_, _old, rest: string) =>
    line("name", name, rest),
  );
  const { before, text, after } = varsOf(named);
  let changed = text;
  for (const [key, value] of Object.entries(vars)) {
    const pattern = new RegExp(`^(?:# )?${key} = ${VALUE}$`, "m");
    changed = pattern.test(changed)
      ? changed.replace(pattern, (_, _old, rest: string) => line(key, value, rest))
      : `${line(key, value)}\n${changed}`;
  }
  return `${before}${changed}${after}`;
}

function putLimits(lines: string, plan: Plan): string {
  return lines.replace(/^(?:# )?(?=.)/gm, plan === "paid" ? "" : "# ");
}

/** The lines between `[vars]` and the next table. */
function varsOf(toml: string): { readonly before: string; readonly text: string; readonly after: string } {
  const head = /^\[vars\]\n/m.exec(toml);
  if (head === null) throw unreadable("a table [vars]");
  const start = head.index + head[0].length;
  const next = /^\[/m.exec(toml.slice(start));
  const end = next === null ? toml.length : start + next.index;
  return { before: toml.slice(0, start), text: toml.slice(start, end), after: toml.slice(end) };
}

function line(key: string, value: string, rest = ""): string {
  if (/["\\\p{Cc}]/u.test(value))
    throw new PeerloomError("usage/invalid", `${key} takes no quotes, backslashes or control characters.`);
  return `${key} = "${value}"${rest}`;
}

function unreadable(missing: string): PeerloomError {
  return new PeerloomError(
    "usage/invalid",
    `wrangler.toml is without ${missing}. Put it back, or take the file anew.`,
  );
}
