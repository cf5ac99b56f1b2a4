/** A process of the laboratory, whose lines are awaited; those that are JSON are events with the time they came. */
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { NamespacedProcess } from "./namespace.ts";

export type LabEvent = { readonly event: string; readonly atMs: number } & Readonly<Record<string, unknown>>;

/** A text field of an event. */
export function textOf(event: LabEvent | undefined, key: string): string | undefined {
  const value = event?.[key];
  return typeof value === "string" ? value : undefined;
}

const STOP_TIMEOUT_MS = 8_000;
/** Other lines that are kept; the oldest go. */
const LINES_MAX = 1_000;
/** Of what it logs under PEERLOOM_LOG; the oldest go. */
const LOGGED_MAX = 50_000;
/** Other standard error that is kept, for people. */
const ERRORS_CHARACTERS_MAX = 8_192;

export class LabProcess {
  readonly events: LabEvent[] = [];
  /** What it has logged, a line of JSON each. */
  readonly logged: string[] = [];
  readonly exit: Promise<number>;
  readonly name: string;
  readonly #child: NamespacedProcess;
  readonly #lines: string[] = [];
  readonly #listeners = new Set<() => void>();
  #errors = "";
  #ended = false;

  constructor(name: string, child: NamespacedProcess) {
    this.name = name;
    this.#child = child;
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.startsWith("{"))
        this.events.push({ ...(JSON.parse(line) as LabEvent), atMs: performance.now() });
      else if (this.#lines.push(line) > LINES_MAX) this.#lines.shift();
      this.#tell();
    });
    createInterface({ input: child.stderr }).on("line", (line) => {
      if (!line.startsWith("{")) this.#errors = `${this.#errors}${line}\n`.slice(-ERRORS_CHARACTERS_MAX);
      else if (this.logged.push(line) > LOGGED_MAX) this.logged.shift();
    });
    this.exit = once(child, "close").then(() => {
      this.#ended = true;
      this.#tell();
      return child.exitCode ?? 128;
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The first event that satisfies the condition, or undefined when it has not come in time or the process has ended before. */
  async find(accept: (event: LabEvent) => boolean, timeoutMs: number): Promise<LabEvent | undefined> {
    return this.#until(() => this.events.find(accept), timeoutMs);
  }

  /** The same for one that must come. @throws Error with the last events */
  async event(name: string, timeoutMs = 30_000): Promise<LabEvent> {
    const found = await this.find(({ event }) => event === name, timeoutMs);
    if (found === undefined) throw this.#missing(name);
    return found;
  }

  async line(text: string | RegExp, timeoutMs = 60_000): Promise<void> {
    const is = (line: string): boolean => (typeof text === "string" ? line === text : text.test(line));
    const found = await this.#until(() => this.#lines.find(is), timeoutMs);
    if (found === undefined) throw this.#missing(String(text));
  }

  signal(name: NodeJS.Signals): void {
    if (!this.#ended) this.#child.kill(name);
  }

  /** Asks, and then makes, it end. */
  async stop(): Promise<number> {
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), STOP_TIMEOUT_MS);
    const code = await this.exit;
    clearTimeout(timer);
    return code;
  }

  #until<T>(look: () => T | undefined, timeoutMs: number): Promise<T | undefined> {
    return new Promise((resolve) => {
      const done = (found: T | undefined): void => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
        resolve(found);
      };
      const listener = (): void => {
        const found = look();
        if (found !== undefined || this.#ended) done(found);
      };
      const timer = setTimeout(() => done(undefined), timeoutMs);
      this.#listeners.add(listener);
      listener();
    });
  }

  #missing(what: string): Error {
    const last = JSON.stringify(this.events.slice(-5));
    return new Error(`${this.name}: "${what}" did not come\n${last}\n${this.#errors}`);
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
