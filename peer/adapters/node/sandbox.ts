/**
 * Threads for modules: worker_threads, with a heap of their own that is bounded and without the process's environment. On Deno, where
 * a thread cannot be ended, it is a process each.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { SandboxHost } from "../../runtime.ts";
import {
  type SandboxAnswer,
  type SandboxEvents,
  sandboxProgram,
  type SandboxThread,
  ThreadSandbox,
} from "../sandbox.ts";
import { startProcess } from "./sandbox-process.ts";

/** The JavaScript heap holds the program and copies of input and output; a module's memory lies outside and is bounded by itself. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16, stackSizeMb: 2 } as const;

const PROGRAM = `const { parentPort } = require("node:worker_threads");
(${sandboxProgram.toString()})({
  post: (answer, transfer) => parentPort.postMessage(answer, transfer),
  listen: (receive) => parentPort.on("message", receive),
});`;

export const nodeSandboxes: SandboxHost = {
  cores: availableParallelism(),
  start: () => new ThreadSandbox("Deno" in globalThis ? startProcess : startThread),
};

function startThread(events: SandboxEvents): SandboxThread {
  const worker = new Worker(PROGRAM, {
    eval: true,
    env: {},
    argv: [],
    execArgv: [],
    resourceLimits: RESOURCE_LIMITS,
  });
  worker.unref();
  worker.on("message", (answer: SandboxAnswer) => events.answer(answer));
  worker.on("error", (error) => events.end("unavailable", error.message));
  worker.on("exit", (code) => events.end("unavailable", `the thread ended with ${code}`));
  return {
    post: (request) => worker.postMessage(request),
    terminate: async () => {
      await worker.terminate();
    },
  };
}
