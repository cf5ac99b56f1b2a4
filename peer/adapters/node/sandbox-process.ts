/**
 * A process for modules, where a thread cannot be ended: Deno's `terminate()` returns at once, but a thread that is inside WebAssembly
 * goes on for ever (2.9.5, its Web Workers too). The process is Deno again, with no permission at all, and has two threads: one
 * runs modules, the other carries messages and ends both when the pipe from here does, so that nothing is left behind of a
 * parent that was killed, whatever the module is at.
 */
import { spawn } from "node:child_process";
import { type SandboxAnswer, type SandboxEvents, type SandboxThread, webWorkerProgram } from "../sandbox.ts";

/** Below the time that a module has for being loaded, which begins with it. */
const START_MS_MAX = 8_000;
/** Of what is kept in a heap there are copies of input and output alone; a module's memory lies outside and is bounded by itself. */
const HEAP_MIB_MAX = 64;

type Head = Readonly<Record<string, unknown>>;

export function startProcess(events: SandboxEvents): SandboxThread {
  if (isCompiled()) throw new Error("a compiled program has no Deno beside it to run them in");
  const parts = [JSON.stringify(webWorkerProgram()), encodeMessage.toString(), messageCutter.toString()];
  const keeper = `(${keeperProgram.toString()})(${parts.join()});`;
  const words = ["--no-prompt", "--no-config", "--no-lock", "--no-npm", "--no-remote"];
  const heap = `--v8-flags=--max-old-space-size=${HEAP_MIB_MAX}`;
  const url = `data:text/javascript,${encodeURIComponent(keeper)}`;
  const child = spawn(process.execPath, ["run", ...words, heap, url], {
    env: {},
    stdio: ["pipe", "pipe", "ignore"],
  });
  const ended = Promise.withResolvers<void>();
  const end = (why: string): void => {
    clearTimeout(timer);
    events.end("unavailable", why);
    ended.resolve();
  };
  const timer = setTimeout(() => {
    events.end("unavailable", `its process did not start within ${START_MS_MAX} ms`);
    child.kill("SIGKILL");
  }, START_MS_MAX);
  timer.unref();
  child.on("error", (error) => end(error.message));
  child.on("exit", (code, signal) => end(`its process ended with ${signal ?? code}`));
  // Deno makes no pipes for what it may not start.
  if (child.pid === undefined) return { post: () => {}, terminate: () => ended.promise };
  const { stdin, stdout } = child;
  // Nothing of it keeps this process, with whose end it ends.
  for (const handle of [child, stdin, stdout] as readonly { unref?(): void }[]) handle.unref?.();
  // The process has ended then, which is told above.
  stdin.on("error", () => {});
  const cut = messageCutter((head, bytes) => {
    if (head["kind"] === "ready") clearTimeout(timer);
    else events.answer((head["isDone"] === true ? { isDone: true, output: bytes } : head) as SandboxAnswer);
  });
  stdout.on("data", cut);
  return {
    post: (request) => {
      const { kind } = request;
      const [head, bytes] =
        kind === "load" ? [{ kind }, request.module] : [{ kind, limits: request.limits }, request.input];
      stdin.write(encodeMessage(head, bytes));
    },
    terminate: async () => {
      child.kill("SIGKILL");
      await ended.promise;
    },
  };
}

/** Where `deno compile` made the program, starting "Deno" again would start that program. */
function isCompiled(): boolean {
  const { Deno } = globalThis as { Deno?: { build?: { standalone?: boolean } } };
  return Deno?.build?.standalone === true;
}

/**
 * The process's program. It and what it is handed are turned to text, so they may use nothing from outside their own braces.
 */
function keeperProgram(program: string, encode: typeof encodeMessage, cutter: typeof messageCutter): void {
  const thread = new Worker(`data:text/javascript,${encodeURIComponent(program)}`, { type: "module" });
  thread.addEventListener("message", ({ data }: MessageEvent<SandboxAnswer>) => {
    const bytes = data.isDone ? data.output : new Uint8Array(0);
    process.stdout.write(encode(data.isDone ? { isDone: true } : { ...data }, bytes));
  });
  process.stdin.on(
    "data",
    cutter((head, bytes) =>
      thread.postMessage(head["kind"] === "load" ? { ...head, module: bytes } : { ...head, input: bytes }),
    ),
  );
  // Whatever the other thread is at.
  for (const event of ["end", "error"]) process.stdin.on(event, () => process.exit(0));
  process.stdout.on("error", () => process.exit(0));
  process.stdout.write(encode({ kind: "ready" }, new Uint8Array(0)));
}

/** The lengths of both (4 each), a head as JSON, and bytes. */
function encodeMessage(head: Head, bytes: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(head));
  const message = new Uint8Array(8 + text.length + bytes.length);
  const view = new DataView(message.buffer);
  view.setUint32(0, text.length);
  view.setUint32(4, bytes.length);
  message.set(text, 8);
  message.set(bytes, 8 + text.length);
  return message;
}

/** Makes messages of what arrives, in whatever pieces. Both sides are our own, so lengths are believed. */
function messageCutter(receive: (head: Head, bytes: Uint8Array) => void): (piece: Uint8Array) => void {
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  let wantedBytes = 8;
  const join = (): Uint8Array => {
    const all = new Uint8Array(heldBytes);
    let at = 0;
    for (const piece of held) {
      all.set(piece, at);
      at += piece.length;
    }
    return all;
  };
  return (piece) => {
    // A copy: Deno reads into one buffer again and again.
    held.push(piece.slice());
    heldBytes += piece.length;
    while (heldBytes >= wantedBytes) {
      const all = join();
      const view = new DataView(all.buffer);
      const bodyAt = 8 + view.getUint32(0);
      const nextAt = bodyAt + view.getUint32(4);
      const isWhole = all.length >= nextAt;
      if (isWhole)
        receive(
          JSON.parse(new TextDecoder().decode(all.subarray(8, bodyAt))) as Head,
          all.slice(bodyAt, nextAt),
        );
      held = [isWhole ? all.slice(nextAt) : all];
      heldBytes = held[0]?.length ?? 0;
      wantedBytes = isWhole ? 8 : nextAt;
    }
  };
}
