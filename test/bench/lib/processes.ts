/** The processes of one run: always fresh ones, always ended. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Operation, Operations, Usage } from "./operations.ts";
import { sourceOf } from "./stack.ts";

const SIDE = fileURLToPath(new URL("side.ts", import.meta.url));
const CALL_MS_MAX = 240_000;
const START_MS_MAX = 60_000;
const END_MS_MAX = 5_000;
const ERRORS_CHARACTERS_MAX = 2_000;

interface Waiting {
  resolve(value: never): void;
  reject(error: Error): void;
}

/** A process that answers calls. */
export class Side {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ended: Promise<void>;
  #failure: Error | undefined;
  #errors = "";
  #nextId = 1;

  constructor(stack: string, role: string) {
    this.#child = fork(SIDE, [stack], {
      execArgv: ["--expose-gc", "--disable-warning=ExperimentalWarning"],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child.stderr?.on("data", (text: Buffer) => {
      this.#errors = (this.#errors + text.toString()).slice(-ERRORS_CHARACTERS_MAX);
    });
    this.#child.on("message", (message) => {
      const { id, value, error } = message as { id: number; value?: never; error?: string };
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error !== undefined) waiting?.reject(new Error(`${stack}, ${role}: ${error}`));
      else waiting?.resolve(value as never);
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once("exit", (code, signal) => {
        this.#failure = new Error(`${stack}, ${role}: ended with ${code ?? signal}. ${this.#errors.trim()}`);
        for (const { reject } of this.#waiting.values()) reject(this.#failure);
        this.#waiting.clear();
        resolve();
      });
    });
  }

  call<O extends Operation>(
    operation: O,
    args: Operations[O]["args"],
    timeoutMs: number = CALL_MS_MAX,
  ): Promise<Operations[O]["result"]> {
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

export interface Trio {
  readonly listener: Side;
  readonly dialler: Side;
  readonly helper: Side | undefined;
  readonly address: string;
  /** Of listener, dialler and helper, in this order. */
  usage(collect: boolean): Promise<Usage[]>;
}

/** Starts the processes of a stack, has them ready to dial, runs the body, ends them. */
export async function withTrio<T>(stack: string, body: (trio: Trio) => Promise<T>): Promise<T> {
  const helper = sourceOf(stack).helper === true ? new Side(stack, "helper") : undefined;
  const [listener, dialler] = [new Side(stack, "listener"), new Side(stack, "dialler")];
  const all = helper === undefined ? [listener, dialler] : [listener, dialler, helper];
  try {
    const at = (await helper?.call("helper", {}, START_MS_MAX)) ?? "";
    const address = await listener.call("listen", { helper: at }, START_MS_MAX);
    await dialler.call("prepare", { address, helper: at }, START_MS_MAX);
    const usage = (collect: boolean): Promise<Usage[]> =>
      Promise.all(all.map((side) => side.call("usage", { collect })));
    return await body({ listener, dialler, helper, address, usage });
  } finally {
    await Promise.all(all.map((side) => side.end()));
  }
}
