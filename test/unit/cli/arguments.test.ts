import { expect, test } from "vitest";
import { parseCommandLine } from "../../../peer/cli/arguments.ts";
import { COMMANDS } from "../../../peer/cli/commands.ts";
import type { PeerloomError } from "../../../shared/errors.ts";

function parse(line: string, environment: Record<string, string> = {}): ReturnType<typeof parseCommandLine> {
  return parseCommandLine(line === "" ? [] : line.split(" "), COMMANDS, environment);
}

function runOf(line: string, environment: Record<string, string> = {}) {
  const parsed = parse(line, environment);
  if (parsed.kind !== "run") throw new Error(`"${line}" does not run a command`);
  return parsed;
}

/** The one line that a wrong command line is answered with. */
function complaint(line: string, environment: Record<string, string> = {}): string {
  try {
    const parsed = parse(line, environment);
    if (parsed.kind === "run") parsed.values.integer("count", { min: 1, max: 9, default: 1 });
  } catch (error) {
    expect((error as PeerloomError).code).toBe("usage/invalid");
    expect((error as PeerloomError).message).not.toContain("\n");
    return (error as PeerloomError).message;
  }
  return "";
}

test("every option of every command is understood", () => {
  const { command, options, positionals } = runOf(
    "get TICKET -o out --edge https://e.test/ --network n1 --data d --listen 0.0.0.0:0 --bootstrap tcp://a:1 --bootstrap tcp://b:2 --only relay --json",
  );
  expect(command.name).toBe("get");
  expect(positionals).toEqual(["TICKET"]);
  expect(options).toEqual({
    edge: "https://e.test",
    network: "n1",
    data: "d",
    listen: "0.0.0.0:0",
    bootstrap: ["tcp://a:1", "tcp://b:2"],
    only: "relay",
    json: true,
  });
});

test("commands of two words, and what follows --", () => {
  const parsed = runOf("edge deploy --dry-run -- --var A:1");
  expect(parsed.command.name).toBe("edge deploy");
  expect(parsed.rest).toEqual(["--var", "A:1"]);
  expect(parsed.values.flag("dry-run")).toBe(true);
});

test("the edge: option before variable, none is no edge, nothing is undefined", () => {
  expect(runOf("up").options.edge).toBeUndefined();
  expect(runOf("up --edge none").options.edge).toBeNull();
  expect(runOf("up", { PEERLOOM_EDGE: "none" }).options.edge).toBeNull();
  expect(runOf("up", { PEERLOOM_EDGE: "" }).options.edge).toBeUndefined();
  expect(runOf("up", { PEERLOOM_EDGE: "http://v.test" }).options.edge).toBe("http://v.test");
  expect(runOf("up --edge http://o.test", { PEERLOOM_EDGE: "http://v.test" }).options.edge).toBe(
    "http://o.test",
  );
});

test("help and version", () => {
  expect(parse("")).toEqual({ kind: "help", topic: undefined });
  expect(parse("help edge dev")).toEqual({ kind: "help", topic: "edge dev" });
  expect(parse("get --help x y z")).toEqual({ kind: "help", topic: "get" });
  expect(parse("--version")).toEqual({ kind: "version" });
});

test.each([
  ["gett TICKET", 'no command "gett"'],
  ["sing words", 'no command "sing"'],
  ["edge", "edge dev or edge deploy"],
  ["edge fly", "no edge fly"],
  ["get", "needs TICKET"],
  ["get a b", '"b"'],
  ["share", "needs PATH…"],
  ["up --bogus", "--bogus"],
  ["up --edge", "--edge"],
  ["up --edge ftp://x", "--edge takes a URL"],
  ["up --edge edge.example", "--edge takes a URL"],
  ["up --network UPPER", "--network"],
  ["up --listen 4000", "HOST:PORT"],
  ["up --listen h:70000", "HOST:PORT"],
  ["up --only tcp", "direct or relay"],
  ["up --map-ports", "--listen"],
  ["up --map-ports --listen 0.0.0.0:0 --only relay", "--only relay"],
  ["up --json=1", "--json"],
  ["ping x --count 0", "1 to 9"],
  ["ping x --count 1e3", "1 to 9"],
])('"%s" is answered with one line about %s', (line, about) => {
  expect(complaint(line)).toContain(about);
});

test("a wrong variable is blamed on the variable", () => {
  expect(complaint("up", { PEERLOOM_EDGE: "edge" })).toContain("PEERLOOM_EDGE takes a URL");
});
