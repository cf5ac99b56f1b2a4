/**
 * What stops a command: SIGINT, SIGTERM and SIGHUP (its terminal is gone), the death of the launcher that started it, and,
 * for servers, a standard output that nobody reads any more. The first asks politely; a second signal, or a clean-up that
 * hangs, ends the process at once.
 */
import process from "node:process";
import { PeerloomError } from "../../shared/errors.ts";
import type { Command } from "./command.ts";
import type { CliSignals } from "./run.ts";

/** A terminal and a launcher may both deliver one Ctrl-C; what follows within this time is the same one. */
const SAME_SIGNAL_MS = 500;
/** Clean-up that takes longer is given up. */
const STOP_TIMEOUT_MS = 8000;
const EXIT_INTERRUPTED = 130;

export function processSignals(): CliSignals {
  const controller = new AbortController();
  let command: Command | undefined;
  let stoppedAtMs: number | undefined;
  let readerGone = false;

  const exitNow = (): never => process.exit(command?.serves === true ? 0 : EXIT_INTERRUPTED);
  const stop = (): void => {
    const nowMs = performance.now();
    if (stoppedAtMs !== undefined) {
      if (nowMs - stoppedAtMs > SAME_SIGNAL_MS) exitNow();
      return;
    }
    stoppedAtMs = nowMs;
    controller.abort(new PeerloomError("aborted", "Interrupted."));
    setTimeout(exitNow, STOP_TIMEOUT_MS).unref();
  };
  const onReaderGone = (): void => {
    readerGone = true;
    if (command?.serves === true) stop();
  };

  // EPIPE comes as an error event; unheard, it would end the process with a stack trace. A command that ends by
  // itself goes on in silence, its exit code still tells.
  process.stdout.on("error", onReaderGone);
  process.stderr.on("error", () => undefined);

  return {
    begin: (begun) => {
      command = begun;
      for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, stop);
      process.on("disconnect", () => (begun.serves ? stop() : process.exit(EXIT_INTERRUPTED)));
      process.channel?.unref();
      if (readerGone) onReaderGone();
      return controller.signal;
    },
  };
}
