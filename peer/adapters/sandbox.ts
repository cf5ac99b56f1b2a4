/**
 * Running modules in a thread, the same on every host: what runs there, and the `Sandbox` in front of it. A host adds how a thread is
 * started and ended. The thread's program travels as text, so that it needs no file of its own beside a bundle.
 */
import { PeerloomError } from "../../shared/errors.ts";
import type { Sandbox, SandboxLimits } from "../runtime.ts";

type Request =
  | { readonly kind: "load"; readonly module: Uint8Array }
  | { readonly kind: "run"; readonly input: Uint8Array; readonly limits: SandboxLimits };

type Failure = "module-invalid" | "memory-limit" | "stack-limit" | "too-large" | "trap" | "unavailable";

/** From our own program in the thread; a module cannot speak for it. */
export type SandboxAnswer =
  | { readonly isDone: true; readonly output: Uint8Array }
  | { readonly isDone: false; readonly failure: Failure; readonly why: string };

/** What the thread's program sees of its host. */
export interface SandboxPort {
  post(answer: SandboxAnswer, transfer: ArrayBuffer[]): void;
  listen(receive: (request: Request) => void): void;
}

/** What a host makes for one sandbox: a thread, or a process where threads cannot be ended. */
export interface SandboxThread {
  post(request: Request): void;
  terminate(): Promise<void>;
}

export interface SandboxEvents {
  answer(answer: SandboxAnswer): void;
  /** The thread has ended by itself, or has not begun. */
  end(failure: Failure, why: string): void;
}

/**
 * The thread's program. It is turned to text, so it may use nothing from outside its own braces.
 * https://webassembly.github.io/spec/js-api/
 */
export function sandboxProgram(port: SandboxPort): void {
  const PAIR = 32n;
  let module: WebAssembly.Module | undefined;
  const fail = (failure: Failure, error: unknown): void =>
    port.post({ isDone: false, failure, why: String(error).slice(0, 200) }, []);
  const load = (bytes: Uint8Array): void => {
    module = undefined;
    if (typeof WebAssembly !== "object") return fail("unavailable", "there is no WebAssembly");
    const compile = (code: Uint8Array): WebAssembly.Module =>
      new WebAssembly.Module(code as Uint8Array<ArrayBuffer>);
    try {
      module = compile(bytes);
    } catch (error) {
      try {
        compile(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)); // the empty module
      } catch {
        // A page's policy without 'wasm-unsafe-eval' shows as a failure to compile, too, and each browser has its own words for it.
        return fail("unavailable", error);
      }
      return fail("module-invalid", error);
    }
    port.post({ isDone: true, output: new Uint8Array(0) }, []);
  };
  const run = (input: Uint8Array, { outputBytesMax, memoryBytesMax }: SandboxLimits): void => {
    if (module === undefined) return fail("module-invalid", "no module is loaded");
    let instance: WebAssembly.Instance;
    try {
      instance = new WebAssembly.Instance(module, {});
    } catch (error) {
      return fail(error instanceof WebAssembly.RuntimeError ? "trap" : "unavailable", error);
    }
    const memory = instance.exports["memory"] as WebAssembly.Memory;
    const alloc = instance.exports["alloc"] as (bytes: number) => number;
    const compute = instance.exports["run"] as (pointer: number, length: number) => bigint;
    const bytesAtStart = memory.buffer.byteLength;
    const within = (pointer: number, length: number): Uint8Array => {
      if (pointer + length > memory.buffer.byteLength)
        throw new WebAssembly.RuntimeError("it points out of its memory");
      return new Uint8Array(memory.buffer, pointer, length);
    };
    try {
      const pointer = alloc(input.length) >>> 0;
      within(pointer, input.length).set(input);
      const result = BigInt.asUintN(64, compute(pointer, input.length));
      const length = Number(BigInt.asUintN(32, result));
      if (length > outputBytesMax) return fail("too-large", `${length} bytes of output`);
      const output = within(Number(result >> PAIR), length).slice();
      port.post({ isDone: true, output }, [output.buffer as ArrayBuffer]);
    } catch (error) {
      // What is no trap (RangeError; InternalError in Firefox) tells how much stack this host has, and nothing of the module.
      if (!(error instanceof WebAssembly.RuntimeError)) return fail("stack-limit", error);
      const bytes = memory.buffer.byteLength;
      fail(bytes > bytesAtStart && bytes >= memoryBytesMax ? "memory-limit" : "trap", error);
    }
  };
  port.listen((request) => {
    if (request.kind === "load") load(request.module);
    else run(request.input, request.limits);
  });
}

/** The program of a Web Worker, as text. */
export function webWorkerProgram(): string {
  return `(${sandboxProgram.toString()})({
  post: (answer, transfer) => postMessage(answer, { transfer }),
  listen: (receive) => addEventListener("message", ({ data }) => receive(data)),
});`;
}

const SAID: Readonly<Record<Failure, string>> = {
  "module-invalid": "The module cannot be compiled",
  "memory-limit": "The module trapped with all the memory it may have in use; allow more with memoryPages",
  "stack-limit": "The module calls deeper than this host has stack for",
  "too-large": "The module gave more output than is taken",
  trap: "The module trapped",
  unavailable: "This host cannot run WebAssembly in a thread of its own",
};

interface Waiting {
  resolve(output: Uint8Array): void;
  reject(error: PeerloomError): void;
}

export class ThreadSandbox implements Sandbox {
  /** Undefined where none could be started. */
  readonly #thread: SandboxThread | undefined;
  #waiting: Waiting | undefined;
  #ended: PeerloomError | undefined;
  #killed: Promise<void> | undefined;

  constructor(start: (events: SandboxEvents) => SandboxThread) {
    try {
      this.#thread = start({
        answer: (answer) => this.#answer(answer),
        end: (failure, why) => this.#end(failed(failure, why)),
      });
    } catch (error) {
      this.#end(failed("unavailable", String(error)));
    }
  }

  async load(module: Uint8Array): Promise<void> {
    await this.#ask({ kind: "load", module });
  }

  run(input: Uint8Array, limits: SandboxLimits): Promise<Uint8Array> {
    return this.#ask({ kind: "run", input, limits });
  }

  kill(): Promise<void> {
    this.#end(failed("unavailable", "it was ended"));
    this.#killed ??= this.#thread?.terminate() ?? Promise.resolve();
    return this.#killed;
  }

  #ask(request: Request): Promise<Uint8Array> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#thread?.post(request);
    });
  }

  #answer(answer: SandboxAnswer): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (answer.isDone) waiting?.resolve(answer.output);
    else waiting?.reject(failed(answer.failure, answer.why));
  }

  #end(error: PeerloomError): void {
    this.#ended ??= error;
    this.#waiting?.reject(this.#ended);
    this.#waiting = undefined;
  }
}

function failed(failure: Failure, why: string): PeerloomError {
  return new PeerloomError(`compute/${failure}`, `${SAID[failure]} (${why}).`);
}
