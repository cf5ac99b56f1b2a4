/**
 * The command line, read: which command, the options every command takes, its own options and its positionals. All
 * that can be checked without opening anything is checked here, so that wrong usage costs one line and exit code 2.
 */
import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { PeerloomError } from "../../shared/errors.ts";
import { parseNetworkName } from "../../shared/ids.ts";
import type { Command, CommandValues, CommonOptions, OptionSpec } from "./command.ts";

/** What every command takes. */
export const COMMON_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  edge: {
    type: "string",
    value: "URL",
    help: "the edge that introduces peers; none = no edge (or PEERLOOM_EDGE)",
  },
  network: { type: "string", value: "NAME", help: "only peers of the same network meet; default: main" },
  "invite-file": {
    type: "string",
    value: "FILE",
    help: "join by the invite in this file, - for standard input (or PEERLOOM_INVITE)",
  },
  "secret-file": {
    type: "string",
    value: "FILE",
    help: "the network is closed by the secret in this file, - for standard input (or PEERLOOM_SECRET)",
  },
  data: { type: "string", value: "DIR", help: "where the identity is kept; default: ~/.peerloom" },
  listen: {
    type: "string",
    value: "HOST:PORT",
    help: "take direct connections here; port 0: the system chooses",
  },
  "map-ports": {
    type: "boolean",
    help: "have the router map that port, so that peers outside reach it (PCP, NAT-PMP, UPnP)",
  },
  bootstrap: {
    type: "string",
    multiple: true,
    value: "ADDRESS",
    help: "a peer to dial first; may be repeated",
  },
  only: { type: "string", value: "direct|relay", help: "use no other kind of path" },
  "no-lan": { type: "boolean", help: "neither find peers on the local network nor be found there" },
  json: { type: "boolean", help: "one JSON object a line on standard output, nothing else" },
  help: { type: "boolean", short: "h", help: "say how the command is used" },
};

export type ParsedLine =
  | { readonly kind: "help"; readonly topic: string | undefined }
  | { readonly kind: "version" }
  | {
      readonly kind: "run";
      readonly command: Command;
      readonly options: CommonOptions;
      readonly values: CommandValues;
      readonly positionals: readonly string[];
      readonly rest: readonly string[];
    };

/**
 * Reads one command line.
 * @throws PeerloomError `usage/invalid` with one line that says what to do
 */
export function parseCommandLine(
  argv: readonly string[],
  commands: readonly Command[],
  environment: Readonly<Record<string, string | undefined>>,
): ParsedLine {
  const [first, second] = argv;
  if (first === undefined || first === "--help" || first === "-h") return { kind: "help", topic: undefined };
  if (first === "--version" || first === "version") return { kind: "version" };
  if (first === "help") return { kind: "help", topic: argv.slice(1).join(" ") || undefined };

  const two = commands.find((command) => command.name === `${first} ${second}`);
  const command = two ?? commands.find((candidate) => candidate.name === first);
  if (command === undefined) throw usage(unknownCommand(argv, commands));

  const words = argv.slice(two === undefined ? 1 : 2);
  const end = words.indexOf("--");
  const rest = end < 0 ? [] : words.slice(end + 1);
  const { values, positionals } = parseWords(end < 0 ? words : words.slice(0, end), command);
  if (values["help"] === true) return { kind: "help", topic: command.name };
  checkCount(positionals, command);
  return {
    kind: "run",
    command,
    options: readCommon(values, environment),
    values: valuesOf(values, command),
    positionals,
    rest,
  };
}

type RawValues = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

function parseWords(
  words: readonly string[],
  command: Command,
): { values: RawValues; positionals: string[] } {
  const options: ParseArgsOptionsConfig = {};
  for (const [name, spec] of Object.entries({ ...COMMON_OPTIONS, ...command.options })) {
    options[name] = {
      type: spec.type,
      multiple: spec.multiple ?? false,
      ...(spec.short ? { short: spec.short } : {}),
    };
  }
  try {
    return parseArgs({ args: spread(words, command), options, strict: true, allowPositionals: true });
  } catch (error) {
    const [line = "It cannot be read"] = (error instanceof Error ? error.message : String(error)).split(
      /\. |\n/,
    );
    throw usage(`${line.replace(/\.$/, "")}. Run: peerloom help ${command.name}`);
  }
}

/** `--input A B` as `--input=A --input=B`, for those of a command's own options that take several words. */
function spread(words: readonly string[], command: Command): string[] {
  const result: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const option = words[i] as string;
    const first = i + 1;
    if (option.startsWith("--") && command.options[option.slice(2)]?.multiple === true)
      while (isValue(words[i + 1])) i += 1;
    // One that is given nothing is left for the parser to complain of.
    if (i < first) result.push(option);
    else result.push(...words.slice(first, i + 1).map((word) => `${option}=${word}`));
  }
  return result;
}

function isValue(word: string | undefined): boolean {
  return word !== undefined && (word === "-" || !word.startsWith("-"));
}

function checkCount(positionals: readonly string[], command: Command): void {
  if (positionals.length < command.positionalsMin) {
    throw usage(`${command.name} needs ${command.synopsis}. Run: peerloom help ${command.name}`);
  }
  if (positionals.length > command.positionalsMax) {
    const extra = positionals[command.positionalsMax] ?? "";
    throw usage(`${command.name} has no place for "${extra}". Run: peerloom help ${command.name}`);
  }
}

function unknownCommand(argv: readonly string[], commands: readonly Command[]): string {
  const [first = "", second] = argv;
  const family = commands
    .filter((command) => command.name.startsWith(`${first} `))
    .map((command) => command.name);
  if (family.length > 0) {
    return `${second === undefined ? `${first} is not complete` : `There is no ${first} ${second}`}: use ${family.join(" or ")}.`;
  }
  return `There is no command "${first}". Run: peerloom help`;
}

function readCommon(
  values: RawValues,
  environment: Readonly<Record<string, string | undefined>>,
): CommonOptions {
  const network = text(values, "network");
  const name = network === undefined ? undefined : parseNetworkName(network);
  if (network?.includes("invite=") === true || network?.startsWith("peerloom:invite/") === true) {
    throw usage(
      "--network takes a name. An invite is secret, and everybody on this machine can read a command line: give it as PEERLOOM_INVITE or --invite-file.",
    );
  }
  if (network !== undefined && name === undefined) {
    throw usage(`--network "${network.slice(0, 80)}" is no name: use 1 to 64 of a-z, 0-9, ".", "_" and "-".`);
  }
  const listen = text(values, "listen");
  if (listen !== undefined && !isHostPort(listen))
    throw usage(`--listen takes HOST:PORT, e.g. 0.0.0.0:4000, not "${listen}".`);
  const mapPorts = values["map-ports"] === true || undefined;
  if (mapPorts && listen === undefined)
    throw usage("--map-ports has no port to map: give --listen too, e.g. --listen 0.0.0.0:4000.");
  const only = text(values, "only");
  if (only !== undefined && only !== "direct" && only !== "relay")
    throw usage(`--only takes direct or relay, not "${only}".`);
  if (mapPorts && only === "relay")
    throw usage(
      "--map-ports lets peers reach this one directly, and --only relay keeps them from it: leave one out.",
    );
  return {
    edge: readEdge(text(values, "edge"), environment["PEERLOOM_EDGE"]),
    network: name,
    inviteFile: nonEmpty(text(values, "invite-file"), "--invite-file"),
    secretFile: nonEmpty(text(values, "secret-file"), "--secret-file"),
    data: nonEmpty(text(values, "data"), "--data"),
    listen,
    mapPorts,
    bootstrap: list(values, "bootstrap"),
    only,
    lan: values["no-lan"] === true ? false : undefined,
    json: values["json"] === true,
  };
}

/** `none` is null, nothing is undefined, anything else an origin. */
function readEdge(option: string | undefined, variable: string | undefined): string | null | undefined {
  const value = option ?? (variable === "" ? undefined : variable);
  if (value === undefined) return undefined;
  if (value === "none") return null;
  const where = option === undefined ? "PEERLOOM_EDGE" : "--edge";
  if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol)) {
    throw usage(`${where} takes a URL such as https://edge.example, or none; not "${value.slice(0, 200)}".`);
  }
  return value.replace(/\/+$/, "");
}

function isHostPort(value: string): boolean {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]\s]+):(\d{1,5})$/.exec(value);
  return match !== null && Number(match[2]) <= 65_535;
}

function valuesOf(values: RawValues, command: Command): CommandValues {
  return {
    text: (name) => nonEmpty(text(values, name), `--${name}`),
    texts: (name) => {
      const value = values[name];
      return Array.isArray(value) ? value.map(String) : [];
    },
    flag: (name) => values[name] === true,
    list: (name) => list(values, name).map((word) => nonEmpty(word, `--${name}`) ?? ""),
    integer: (name, bounds) => {
      const value = text(values, name);
      if (value === undefined) return bounds.default;
      const number = /^\d{1,12}$/.test(value) ? Number(value) : Number.NaN;
      if (number >= bounds.min && number <= bounds.max) return number;
      throw usage(
        `${command.name} --${name} takes a number from ${bounds.min} to ${bounds.max}, not "${value}".`,
      );
    },
  };
}

function text(values: RawValues, name: string): string | undefined {
  const value = values[name];
  return typeof value === "string" ? value : undefined;
}

function list(values: RawValues, name: string): string[] {
  const value = values[name];
  return Array.isArray(value) ? value.map(String) : [];
}

function nonEmpty(value: string | undefined, name: string): string | undefined {
  if (value === "") throw usage(`${name} needs a value.`);
  return value;
}

function usage(message: string): PeerloomError {
  return new PeerloomError("usage/invalid", message);
}
