/** The edge's `/compute-worker.js`: the thread's program as a file, so that it has a policy of its own. */
import { sandboxProgram } from "../sandbox.ts";

sandboxProgram({
  post: (answer, transfer) => postMessage(answer, { transfer }),
  listen: (receive) =>
    addEventListener("message", ({ data }: MessageEvent<Parameters<typeof receive>[0]>) => receive(data)),
});
