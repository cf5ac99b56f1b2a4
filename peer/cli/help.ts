/** `help`: the table of commands, and each command's options, printed from the table that the parser reads. */
import { PeerloomError } from "../../shared/errors.ts";
import { COMMON_OPTIONS } from "./arguments.ts";
import type { Command, OptionSpec } from "./command.ts";

/** The overview, or one command's page. @throws PeerloomError `usage/invalid` when there is no such command */
export function helpText(commands: readonly Command[], topic: string | undefined): string {
  if (topic === undefined) return overview(commands);
  const found = commands.filter((command) => command.name === topic || command.name.startsWith(`${topic} `));
  if (found.length === 0)
    throw new PeerloomError("usage/invalid", `There is no command "${topic}". Run: peerloom help`);
  return found.map(page).join("\n\n");
}

function overview(commands: readonly Command[]): string {
  return [
    "peerloom: your own peer-to-peer network for browsers, Node and Deno",
    "",
    "Usage: peerloom COMMAND [OPTIONS]",
    "",
    ...table(commands.map((command) => [`${command.name} ${command.synopsis}`.trim(), command.summary])),
    ...table([
      ["help [COMMAND]", "this page, or a command's"],
      ["--version", "print the version"],
    ]),
    "",
    "Every command takes:",
    ...optionLines(COMMON_OPTIONS),
    "",
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.",
    "See it work on this machine alone: peerloom demo",
  ].join("\n");
}

function page(command: Command): string {
  const lines = [
    `Usage: peerloom ${command.name} ${command.synopsis}`.trimEnd() + " [OPTIONS]",
    "",
    `  ${command.summary}`,
    "",
  ];
  const own = optionLines(command.options);
  if (own.length > 0) lines.push("Its options:", ...own, "");
  const common = Object.entries(COMMON_OPTIONS).filter(([name]) => !Object.hasOwn(command.options, name));
  lines.push("Options of every command:", ...optionLines(Object.fromEntries(common)));
  return lines.join("\n");
}

function optionLines(options: Readonly<Record<string, OptionSpec>>): string[] {
  return table(
    Object.entries(options).map(([name, spec]) => [
      `${spec.short === undefined ? "" : `-${spec.short}, `}--${name}${spec.value === undefined ? "" : ` ${spec.value}`}`,
      spec.help,
    ]),
  );
}

function table(rows: readonly (readonly [string, string])[]): string[] {
  return rows.map(([left, right]) => `  ${left.padEnd(24)}  ${right}`);
}
