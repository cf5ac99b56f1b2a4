/**
 * A Worker that answers 429 to everything, in a process of its own: what workerd itself takes to accept a socket, read a request and say no. No
 * edge in workerd can be cheaper.
 */
import { startBareWorker } from "../bench/lib/bare-worker.ts";
import { answerCalls, type Handlers } from "../bench/lib/remote.ts";
import type { Usage } from "../bench/lib/operations.ts";
import { ownUsage } from "../bench/lib/usage.ts";

export interface BareEdgeOperations {
  /** @returns its URL */
  start: { args: Record<string, never>; result: string };
  usage: { args: { collect: boolean }; result: Usage };
}

const WORKER = "export default { fetch: () => new Response(null, { status: 429 }) };";
let stop = (): Promise<void> => Promise.resolve();

const handlers: Handlers<BareEdgeOperations> = {
  async start() {
    const worker = await startBareWorker(WORKER);
    stop = () => worker.stop();
    return worker.origin;
  },
  async usage({ collect }) {
    return ownUsage(collect);
  },
};

answerCalls<BareEdgeOperations>(handlers, () => stop());
