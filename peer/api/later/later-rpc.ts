/** Calls whose code is loaded by the first one, made or served. What an application says is checked at once all the same. */
import { requirePeerId } from "../../../shared/ids.ts";
import type { ServiceHost } from "../../services/host.ts";
import type { CallContext } from "../../services/rpc/context.ts";
import {
  callsProtocol,
  checkWhole,
  CONCURRENCY_MAX,
  methodsOf,
  RPC_DEFAULTS,
  TIMEOUT_MS_MAX,
} from "../../services/rpc/naming.ts";
import { type Remote, remote } from "../../services/rpc/remote.ts";
import type { Rpc, RpcOptions, ServeOptions } from "../../services/rpc/rpc.ts";
import type { OnDemand } from "../on-demand.ts";
import type { Services } from "../parts.ts";

type Call = (...args: readonly unknown[]) => Promise<unknown>;

export class LaterRpc implements Pick<Services["rpc"], "serve" | "remote"> {
  readonly #host: ServiceHost;
  readonly #rpc: OnDemand<Rpc>;
  readonly #answer: (protocol: string, load: () => Promise<unknown>) => () => void;

  /** @param answer answers a protocol by whoever does once something was loaded; returns how to stop that */
  constructor(
    host: ServiceHost,
    rpc: OnDemand<Rpc>,
    answer: (protocol: string, load: () => Promise<unknown>) => () => void,
  ) {
    this.#host = host;
    this.#rpc = rpc;
    this.#answer = answer;
  }

  serve(name: string, methods: object & ThisType<CallContext>, options: ServeOptions = {}): () => void {
    checkWhole("concurrency", options.concurrency ?? RPC_DEFAULTS.concurrency, CONCURRENCY_MAX);
    const protocol = callsProtocol(name);
    const now = Object.fromEntries(methodsOf(methods));
    let stopServing: (() => void) | undefined;
    let isOver = false;
    const serving = this.#rpc.get().then((rpc) => {
      if (!isOver) stopServing = rpc.serve(name, now, options);
    });
    serving.catch((error: unknown) => {
      this.#host.runtime.log.warn("not served", { name, error: String(error) });
    });
    const stopWaiting = this.#answer(protocol, () => serving);
    return () => {
      isOver = true;
      stopWaiting();
      stopServing?.();
    };
  }

  remote<T>(id: string, name: string, options: RpcOptions = {}): Remote<T> {
    requirePeerId(id);
    callsProtocol(name);
    checkWhole("timeoutMs", options.timeoutMs ?? RPC_DEFAULTS.timeoutMs, TIMEOUT_MS_MAX);
    return remote<T>(async (method, args) => {
      const rpc = await this.#rpc.get();
      return rpc.remote<Readonly<Record<string, Call>>>(id, name, options)[method]?.(...args);
    });
  }
}
