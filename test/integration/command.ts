/** The command line in processes of its own, as a user starts it, with its `--json` events awaited by name. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { mkdtemp, open, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

export type Event = { readonly event: string } & Record<string, unknown>;

export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));
const ENTRY = join(ROOT, "peer", "cli", "launch.mjs");
const DENO = join(ROOT, "node_modules", ".bin", "deno");

/** The longest that a test waits for one event. */
const EVENT_TIMEOUT_MS = 60_000;

export interface StartOptions {
  readonly runtime?: "node" | "deno";
  /** A program of the tests. @default the command line */
  readonly entry?: string;
  readonly environment?: Record<string, string>;
  readonly folder?: string;
}

export class Command {
  readonly events: Event[] = [];
  readonly exit: Promise<number>;
  readonly pid: number;
  stderr = "";
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<unknown>;
  readonly #words: string;
  #listeners: (() => void)[] = [];

  constructor(
    words: readonly string[],
    { runtime = "node", entry = ENTRY, environment = {}, folder }: StartOptions = {},
  ) {
    const [program, ...first] = runtime === "deno" ? [DENO, "run", "-A", entry] : [process.execPath, entry];
    this.#words = words.join(" ");
    this.#child = spawn(program ?? "", [...first, ...words, "--json"], {
      stdio: ["ignore", "pipe", "pipe"],
      cwd: folder ?? ROOT,
      env: { ...process.env, PEERLOOM_EDGE: "", ...environment },
    });
    this.pid = this.#child.pid ?? 0;
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      this.events.push(JSON.parse(line) as Event);
      for (const listener of this.#listeners) listener();
    });
    this.#child.stderr.setEncoding("utf8").on("data", (text) => (this.stderr += String(text)));
    this.#ended = once(this.#child, "close");
    this.exit = this.#ended.then(() => {
      for (const listener of this.#listeners) listener();
      return this.#child.exitCode ?? 128;
    });
    onTestFinished(async () => {
      this.kill("SIGTERM");
      const timer = setTimeout(() => this.kill("SIGKILL"), 10_000);
      await this.#ended;
      clearTimeout(timer);
    });
  }

  /** The first event of that name that satisfies the condition, past ones included. Fails when the command ends first. */
  wait(
    name: string,
    accept: (event: Event) => boolean = () => true,
    timeoutMs: number = EVENT_TIMEOUT_MS,
  ): Promise<Event> {
    return new Promise((resolve, reject) => {
      const fail = (why: string): void =>
        reject(
          new Error(
            `peerloom ${this.#words}: ${why} before "${name}"\n${JSON.stringify(this.events.slice(-5))}\n${this.stderr}`,
          ),
        );
      const timer = setTimeout(() => fail(`nothing for ${timeoutMs} ms`), timeoutMs);
      const look = (): void => {
        const found = this.events.find((event) => event.event === name && accept(event));
        if (found === undefined && this.#child.exitCode === null) return;
        clearTimeout(timer);
        this.#listeners = this.#listeners.filter((listener) => listener !== look);
        if (found === undefined) fail(`it ended with ${this.#child.exitCode}`);
        else resolve(found);
      };
      this.#listeners.push(look);
      look();
    });
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal);
  }

  /** Resolves with the exit code once the process is gone. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    this.kill(signal);
    return this.exit;
  }
}

/** Runs a command to its end. */
export async function finish(
  words: readonly string[],
  options: StartOptions = {},
): Promise<Command & { readonly code: number }> {
  const command = new Command(words, options);
  return Object.assign(command, { code: await command.exit });
}

/** An edge for one test, on a port that the system chose. */
export async function startEdge(): Promise<string> {
  const edge = new Command(["edge", "dev", "--port", "0"]);
  return String((await edge.wait("ready"))["url"]);
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "peerloom-it-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

export async function randomFile(path: string, megabytes: number): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(path, "wx");
  for (let i = 0; i < megabytes; i++) {
    const block = randomBytes(1_000_000);
    hash.update(block);
    await file.write(block);
  }
  await file.close();
  return hash.digest("hex");
}

export async function sha256File(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}

/** Pids of the processes below one, Linux only; elsewhere none are found. */
export async function descendants(pid: number): Promise<number[]> {
  const parents = new Map<number, number>();
  for (const name of await readdir("/proc").catch(() => [])) {
    if (!/^\d+$/.test(name)) continue;
    const line = await readFile(`/proc/${name}/stat`, "utf8").catch(() => "");
    const parent = line.slice(line.lastIndexOf(")") + 2).split(" ")[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const found = [pid];
  for (const parent of found) for (const [child, above] of parents) if (above === parent) found.push(child);
  return found.slice(1);
}

/** What a process has used of the processor, ms, in steps of 10; Linux only, elsewhere and of a process that is gone 0. */
export async function cpuMs(pid: number): Promise<number> {
  const line = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const [user, system] = line
    .slice(line.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13);
  return (Number(user ?? 0) + Number(system ?? 0)) * 10;
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
