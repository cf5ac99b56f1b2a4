/**
 * Threads for modules: dedicated Web Workers. On a page of the edge that served this script the worker is a file of that edge,
 * whose own policy lets it compile modules and reach nothing, whatever the page's policy says. Elsewhere it is a blob and
 * obeys the page's: `worker-src blob:` and `script-src 'wasm-unsafe-eval'` must be allowed there.
 */
import type { Sandbox } from "../../runtime.ts";
import {
  type SandboxAnswer,
  type SandboxEvents,
  type SandboxThread,
  ThreadSandbox,
  webWorkerProgram,
} from "../sandbox.ts";

/** Bundled from compute-worker.ts; the edge knows it too, for its policy. */
const WORKER_PATH = "/compute-worker.js";

let blobUrl: string | undefined;

/** @param servedBy origin of the edge that served this script, if one did */
export function startSandbox(servedBy: string | null): Sandbox {
  const url = servedBy === location.origin ? WORKER_PATH : blob();
  return new ThreadSandbox((events) => startThread(url, events));
}

function startThread(url: string, events: SandboxEvents): SandboxThread {
  const worker = new Worker(url, { type: "module" });
  worker.addEventListener("message", ({ data }: MessageEvent<SandboxAnswer>) => events.answer(data));
  worker.addEventListener("error", ({ message }) =>
    events.end("unavailable", message || "the page's policy forbids its worker"),
  );
  return {
    post: (request) => worker.postMessage(request),
    terminate: () => {
      worker.terminate();
      return Promise.resolve();
    },
  };
}

function blob(): string {
  blobUrl ??= URL.createObjectURL(new Blob([webWorkerProgram()], { type: "text/javascript" }));
  return blobUrl;
}
