/** Events as JSON lines on standard error, when `PEERLOOM_LOG` is `warn` or `debug`; else nothing. */
import type { Log } from "../../runtime.ts";

type Level = "debug" | "warn";

export function nodeLog(level: string | undefined): Log {
  const write = (at: Level, event: string, fields: Readonly<Record<string, unknown>> = {}): void => {
    process.stderr.write(`${JSON.stringify({ at, timeMs: Date.now(), event, ...fields })}\n`);
  };
  const silent = (): void => {};
  return {
    debug: level === "debug" ? (event, fields) => write("debug", event, fields) : silent,
    warn: level === "debug" || level === "warn" ? (event, fields) => write("warn", event, fields) : silent,
  };
}
