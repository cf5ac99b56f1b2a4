/** A child process that answers calls over IPC, and its own half of that. */
import { type ChildProcess, execFileSync, fork } from "node:child_process";

/** Where a process runs, when not here. */
export interface Place {
  /** A network namespace. */
  readonly namespace: string;
  /** Its address there. */
  readonly host: string;
}

const CALL_MS_MAX = 240_000;
const END_MS_MAX = 5_000;
const ERRORS_CHARACTERS_MAX = 2_000;

/** What a process may be asked, by name. */
export type Calls<O> = { readonly [K in keyof O]: { readonly args: unknown; readonly result: unknown } };
export type Handlers<O extends Calls<O>> = {
  [K in keyof O]: (args: O[K]["args"]) => Promise<O[K]["result"]>;
};

interface Waiting {
  resolve(value: never): void;
  reject(error: Error): void;
}

export class Remote<O extends Calls<O>> {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ended: Promise<void>;
  #failure: Error | undefined;
  #errors = "";
  #nextId = 1;

  /** @param name stands in its errors */
  constructor(script: string, args: readonly string[], name: string, place?: Place) {
    const flags = ["--expose-gc", "--disable-warning=ExperimentalWarning"];
    const where =
      place === undefined
        ? { execArgv: flags }
        : {
            execPath: "ip",
            execArgv: ["netns", "exec", place.namespace, process.execPath, ...flags],
            env: { ...process.env, BENCH_HOST: place.host },
          };
    this.#child = fork(script, args, {
      ...where,
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child.stderr?.on("data", (text: Buffer) => {
      this.#errors = (this.#errors + text.toString()).slice(-ERRORS_CHARACTERS_MAX);
    });
    this.#child.on("message", (message) => {
      const { id, value, error } = message as { id: number; value?: never; error?: string };
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error !== undefined) waiting?.reject(new Error(`${name}: ${error}`));
      else waiting?.resolve(value as never);
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once("exit", (code, signal) => {
        this.#failure = new Error(`${name}: ended with ${code ?? signal}. ${this.#errors.trim()}`);
        for (const { reject } of this.#waiting.values()) reject(this.#failure);
        this.#waiting.clear();
        resolve();
      });
    });
  }

  /** Of the process, as long as it runs. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Keeps it, and what it starts from now on, to one processor. Linux only. */
  pin(processor: number): void {
    execFileSync("taskset", ["-acp", String(processor), String(this.#child.pid)], { stdio: "ignore" });
  }

  call<K extends keyof O & string>(
    operation: K,
    args: O[K]["args"],
    timeoutMs: number = CALL_MS_MAX,
  ): Promise<O[K]["result"]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error(`"${operation}" took over ${timeoutMs} ms. ${this.#errors.trim()}`));
      }, timeoutMs);
      const settle =
        <T>(done: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          done(value);
        };
      this.#waiting.set(id, { resolve: settle(resolve), reject: settle(reject) });
      this.#child.send({ id, operation, args });
    });
  }

  /** Lets the process end by itself (so that it ends its own children), then makes it. */
  async end(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), END_MS_MAX);
    await this.#ended;
    clearTimeout(timer);
  }
}

/** The child's half: answers calls until its parent is gone, then stops. */
export function answerCalls<O extends Calls<O>>(handlers: Handlers<O>, stop: () => Promise<void>): void {
  process.on("message", (message) => {
    const { id, operation, args } = message as { id: number; operation: keyof O; args: never };
    handlers[operation](args).then(
      (value) => process.send?.({ id, value }),
      (error: unknown) => process.send?.({ id, error: error instanceof Error ? error.stack : String(error) }),
    );
  });
  process.on("disconnect", () => {
    stop().then(
      () => process.exit(),
      () => process.exit(1),
    );
  });
}
