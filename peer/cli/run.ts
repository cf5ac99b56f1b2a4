/**
 * One command line from words to exit code. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted; a server that
 * is told to stop has done its work and exits 0.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { parseCommandLine } from "./arguments.ts";
import type { CliHost, Command } from "./command.ts";
import { helpText } from "./help.ts";
import { Output, type TextSink } from "./output.ts";

export interface CliStreams {
  readonly stdout: TextSink;
  readonly stderr: TextSink;
}

/** What may stop a command. Which command it is is known only after parsing, so it is told. */
export interface CliSignals {
  /** Aborted when the user, or a pipe that nobody reads, stops the command. */
  begin(command: Command): AbortSignal;
}

const EXIT_DONE = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

/** Runs one command line and resolves with its exit code; never rejects. */
export async function run(
  argv: readonly string[],
  commands: readonly Command[],
  streams: CliStreams,
  host: CliHost,
  signals: CliSignals,
  version: string,
): Promise<number> {
  const output = new Output({
    ...streams,
    json: argv.includes("--json"),
    environment: host.environment,
    nowMs: () => performance.now(),
  });
  let signal: AbortSignal | undefined;
  let serves = false;
  try {
    const line = parseCommandLine(argv, commands, host.environment);
    if (line.kind === "version") output.result({ event: "version", version }, version);
    else if (line.kind === "help") {
      const text = helpText(commands, line.topic);
      output.result({ event: "help", text }, text);
    } else {
      serves = line.command.serves;
      signal = signals.begin(line.command);
      if ((await line.command.run({ ...line, output, host, signal })) === "unwell") return EXIT_FAILED;
    }
    return signal?.aborted === true && !serves ? EXIT_INTERRUPTED : EXIT_DONE;
  } catch (error) {
    return fail(error, { output, serves, stopped: signal?.aborted === true });
  } finally {
    output.end();
  }
}

function fail(
  error: unknown,
  {
    output,
    serves,
    stopped,
  }: { readonly output: Output; readonly serves: boolean; readonly stopped: boolean },
): number {
  const shown = presentable(error);
  // Being stopped shows as all kinds of failures further down; none of them is news.
  if (stopped) {
    if (serves) return EXIT_DONE;
    output.error(new PeerloomError("aborted", "Interrupted."));
    return EXIT_INTERRUPTED;
  }
  output.error(shown);
  return shown.code === "usage/invalid" ? EXIT_USAGE : EXIT_FAILED;
}

function presentable(error: unknown): PeerloomError {
  if (error instanceof PeerloomError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new PeerloomError("internal/assertion", `Unexpected failure: ${message}. Please report this.`, {
    cause: error,
  });
}
