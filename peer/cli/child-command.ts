/** This command line run in a process of its own, its `--json` events read. `demo` shows real processes with it. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { createInterface } from "node:readline";
import { PeerloomError } from "../../shared/errors.ts";
import type { CliEvent } from "./output.ts";

/** A child that is told to stop and does not is killed after this. */
const STOP_TIMEOUT_MS = 5000;

export class ChildCommand {
  readonly #child: ChildProcessByStdio<null, Readable, null>;
  readonly #closed: Promise<unknown>;
  readonly #words: readonly string[];

  /** @param self program and first arguments; `words` the rest, `--json` is added */
  constructor(
    self: readonly string[],
    words: readonly string[],
    environment: Readonly<Record<string, string | undefined>>,
  ) {
    const [program = "", ...first] = self;
    this.#words = words;
    this.#child = spawn(program, [...first, ...words, "--json"], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...environment },
    });
    this.#closed = once(this.#child, "close").catch(() => undefined);
  }

  /**
   * Reads until the event of that name; what comes before is given to `onEvent`. Reads once: call it once a child.
   * @throws PeerloomError `internal/assertion` with the child's own words when it fails or ends before
   */
  async waitFor(name: string, onEvent: (event: CliEvent) => void = () => undefined): Promise<CliEvent> {
    const lines = createInterface({ input: this.#child.stdout });
    try {
      for await (const line of lines) {
        const event = JSON.parse(line) as CliEvent;
        if (event.event === name) return event;
        if (event.event === "error") throw this.#failed(String(event["message"]));
        onEvent(event);
      }
    } finally {
      lines.close();
      this.#child.stdout.resume(); // what it says later is not read, but must not block it
    }
    throw this.#failed("it ended early");
  }

  /** Stops it and waits until it is gone. Harmless twice. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await this.#closed;
    clearTimeout(timer);
  }

  #failed(reason: string): PeerloomError {
    return new PeerloomError("internal/assertion", `"peerloom ${this.#words[0] ?? ""}" failed: ${reason}`);
  }
}
