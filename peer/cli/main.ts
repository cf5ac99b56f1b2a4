/** The command line's entry: wires the process to `run` and ends it with the exit code. Importing it runs it. */
import { homedir } from "node:os";
import process from "node:process";
import { COMMANDS } from "./commands.ts";
import { cliHost } from "./host.ts";
import { packageVersion } from "./package-info.ts";
import { run } from "./run.ts";
import { processSignals } from "./stop.ts";

/** What still runs after a command is done (a native thread, a socket's farewell) gets this long. */
const LINGER_MS = 2000;

/** A peer that waits for others may hold nothing that keeps a process alive; the command does. */
const awake = setInterval(() => undefined, 3_600_000);

const code = await run(
  process.argv.slice(2),
  COMMANDS,
  { stdout: process.stdout, stderr: process.stderr },
  cliHost({ environment: process.env, homeFolder: homedir(), workingFolder: process.cwd() }),
  processSignals(),
  packageVersion(),
);
clearInterval(awake);
process.exitCode = code;
setTimeout(() => process.exit(code), LINGER_MS).unref();
