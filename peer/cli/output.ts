/**
 * What the user sees. Each thing a command has to say is said once, with both faces: an event for `--json` and a line
 * for people. Results go to standard output; notes and progress go to standard error, so that pipes carry results only.
 */
import type { PeerloomError } from "../../shared/errors.ts";

/** One line of `--json`. Undefined fields are written as null, so that a reader finds every key. */
export type CliEvent = { readonly event: string } & Readonly<Record<string, unknown>>;

/** The part of a Node stream that is used here. */
export interface TextSink {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

export interface OutputOptions {
  readonly json: boolean;
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  /** `NO_COLOR` and `TERM` decide about colours on a terminal. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly nowMs: () => number;
}

/** JSON progress events and redrawn lines come at most this often. */
export const PROGRESS_INTERVAL_MS = 100;
/** Where lines cannot be redrawn (a log file), progress is a new line this often. */
export const PROGRESS_LINE_INTERVAL_MS = 3000;

export class Output {
  readonly #options: OutputOptions;
  readonly #colours: boolean;
  /** A progress line stands on the terminal and must be wiped before anything else is written. */
  #lineStands = false;
  #progressAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: OutputOptions) {
    this.#options = options;
    const { NO_COLOR, TERM } = options.environment;
    this.#colours = options.stderr.isTTY === true && (NO_COLOR ?? "") === "" && TERM !== "dumb";
  }

  get json(): boolean {
    return this.#options.json;
  }

  /** A result: the event as JSON, or the text on standard output. Without a text, people see nothing. */
  result(event: CliEvent, text?: string): void {
    if (this.json) this.#writeEvent(event);
    else if (text !== undefined) {
      this.#wipe();
      this.#options.stdout.write(`${printable(text)}\n`);
    }
  }

  /** What happens meanwhile: the event as JSON where there is one, or the text on standard error. */
  note(text: string, event?: CliEvent): void {
    if (this.json) {
      if (event !== undefined) this.#writeEvent(event);
      return;
    }
    this.#wipe();
    this.#options.stderr.write(`${this.#paint(printable(text), "2")}\n`);
  }

  /** Shown at once when it is the first or `last`, otherwise only when the interval is over. */
  progress(event: CliEvent | undefined, line: () => string, last = false): void {
    const terminal = this.#options.stderr.isTTY === true;
    const intervalMs = this.json || terminal ? PROGRESS_INTERVAL_MS : PROGRESS_LINE_INTERVAL_MS;
    const nowMs = this.#options.nowMs();
    if (!last && nowMs - this.#progressAtMs < intervalMs) return;
    this.#progressAtMs = nowMs;
    if (this.json) {
      if (event !== undefined) this.#writeEvent(event);
    } else if (terminal) {
      const width = Math.max(20, (this.#options.stderr.columns ?? 80) - 1);
      this.#options.stderr.write(`\r\x1b[2K${printable(line()).slice(0, width)}`);
      this.#lineStands = true;
    } else {
      this.#options.stderr.write(`${printable(line())}\n`);
    }
  }

  /** A failure, in one line. Wrong usage is said on standard error even under `--json`. */
  error(error: PeerloomError): void {
    if (this.json) this.#writeEvent({ event: "error", code: error.code, message: error.message });
    if (!this.json || error.code === "usage/invalid") {
      this.#wipe();
      const line = printable(error.message.replaceAll(/\s*\n\s*/g, " "));
      const code = error.code === "usage/invalid" ? "" : ` (${error.code})`;
      this.#options.stderr.write(`${this.#paint("peerloom:", "31")} ${line}${code}\n`);
    }
  }

  /** Leaves the terminal with a clean line. */
  end(): void {
    this.#wipe();
  }

  #writeEvent(event: CliEvent): void {
    this.#options.stdout.write(
      `${JSON.stringify(event, (_key, value: unknown) => (value === undefined ? null : value))}\n`,
    );
  }

  #wipe(): void {
    if (!this.#lineStands) return;
    this.#lineStands = false;
    this.#options.stderr.write("\r\x1b[2K");
  }

  #paint(text: string, code: string): string {
    return this.#colours ? `\x1b[${code}m${text}\x1b[0m` : text;
  }
}

/** Names come from strangers: control characters would let them steer the terminal. Line ends stay. */
function printable(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n]/gu, "\u{fffd}");
}
