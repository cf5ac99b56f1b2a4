/**
 * A Worker that answers 429 to everything, in a process of its own: what workerd itself takes to accept a socket, read a request and say no. No
 * edge in workerd can be cheaper.
 */
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
    const { Miniflare, convertV4MiniflareOptions } = await import("miniflare");
    const runtime = new Miniflare(
      convertV4MiniflareOptions({
        name: "bare",
        host: "127.0.0.1",
        port: 0,
        cf: false,
        modules: [{ type: "ESModule", path: "worker.js", contents: WORKER }],
        compatibilityDate: "2026-10-23",
      }),
    );
    stop = () => runtime.dispose();
    return (await runtime.ready).origin;
  },
  async usage({ collect }) {
    return ownUsage(collect);
  },
};

answerCalls<BareEdgeOperations>(handlers, () => stop());
