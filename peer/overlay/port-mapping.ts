/**
 * Keeps a listening port mapped at the gateway: asks for a lease, renews it with jitter long before it ends, looks for another protocol or
 * gateway when that fails, and removes it at the end. A gateway's failure is no failure of the peer: it is a state to be shown, and
 * tried again. What the gateway says is announced only if the internet could reach it.
 */
import { toPeerloomError } from "../../shared/errors.ts";
import { formatTcpAddress } from "../links/address.ts";
import { isPublicAddress } from "../links/candidates.ts";
import type { MappedPort, MappingProtocol, PortMapper } from "../links/port-mapping/mapper.ts";
import type { Runtime } from "../runtime.ts";
import { withDeadline } from "./abort.ts";
import { backoffMs } from "./backoff.ts";

/** Asked for. A gateway's reboot or new address shows when it is renewed, and a crash leaves a mapping no longer than this. */
export const LEASE_MS: number = 20 * 60_000;
/** A gateway that grants less is not asked more often for it. */
const LEASE_MS_MIN = 120_000;
/** RFC 6887 §11.2.1: between 1/2 and 5/8 of the lifetime. */
const RENEW = { from: 1 / 2, spread: 1 / 8 } as const;
/** Each attempt, with all the protocols there are. */
const ATTEMPT_TIMEOUT_MS = 20_000;
/** RFC 6887 §11.2.1: never sooner than 4 s. */
const RETRY = { leastMs: 4_000, firstMs: 8_000, maxMs: 600_000 } as const;
/** Closing waits no longer for a gateway; the lease ends by itself. */
const UNMAP_TIMEOUT_MS = 2_000;

/**
 * `no-gateway`: none that speaks one of the protocols and reaches the listener. `refused`: it does and will not, or talks nonsense.
 * `private-address`: the gateway is behind another NAT itself (RFC 6598, RFC 1918), which is not asked.
 */
export type PortMappingFailure = "no-gateway" | "refused" | "private-address";

export type PortMappingState =
  | { readonly phase: "looking" }
  | {
      readonly phase: "mapped";
      readonly protocol: MappingProtocol;
      /** IPv4 address. */
      readonly gateway: string;
      /** As others dial it: `tcp://HOST:PORT`. */
      readonly address: string;
    }
  | { readonly phase: "failed"; readonly why: PortMappingFailure; readonly detail: string };

export interface PortMappingOptions {
  readonly runtime: Pick<Runtime, "clock" | "random" | "log">;
  /** Of the listener. */
  readonly port: number;
  /** The gateway's protocols, the best first; none where there is no gateway. */
  find(signal: AbortSignal): AsyncIterable<PortMapper>;
  /** Called after each change of `state`. */
  onChange(state: PortMappingState): void;
}

interface Lease {
  readonly mapper: PortMapper;
  readonly mapped: MappedPort;
  readonly untilMs: number;
}

type Failure = Omit<Extract<PortMappingState, { readonly phase: "failed" }>, "phase">;
const NO_GATEWAY: Failure = {
  why: "no-gateway",
  detail: "No gateway is known here that speaks PCP, NAT-PMP or UPnP-IGD.",
};

export class PortMapping {
  readonly #options: PortMappingOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #state: PortMappingState = { phase: "looking" };
  #lease: Lease | undefined;
  /** Asked last: it may have mapped the port, and its answer not have come. */
  #asked: PortMapper | undefined;
  #wake: () => void = () => {};
  #closed: Promise<void> | undefined;

  constructor(options: PortMappingOptions) {
    this.#options = options;
    this.#running = this.#run(this.#stop.signal).catch((error: unknown) => {
      if (!this.#stop.signal.aborted)
        options.runtime.log.warn("port mapping ended", { error: String(error) });
    });
  }

  get state(): PortMappingState {
    return this.#state;
  }

  /** This machine's network may be another one: asks at once. */
  hurry(): void {
    this.#wake();
  }

  /** Removes the mapping, waiting no longer than 2 s for the gateway. Twice is harmless. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    const holders = new Set([this.#asked, this.#lease?.mapper]);
    await Promise.all([...holders].flatMap((mapper) => (mapper === undefined ? [] : [this.#unmap(mapper)])));
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; ; failures++) {
      const lease = await this.#obtain(signal);
      if (lease !== undefined) failures = -1;
      await this.#pause(lease === undefined ? this.#retryMs(failures) : this.#renewMs(lease), signal);
    }
  }

  /** Renews the lease, or gets one from whatever there is. Undefined, and the state may say why, where nobody gives one. */
  async #obtain(signal: AbortSignal): Promise<Lease | undefined> {
    let failure: Failure | undefined;
    try {
      return await withDeadline(this.#options.runtime.clock, ATTEMPT_TIMEOUT_MS, signal, async (within) => {
        for await (const mapper of this.#mappers(within)) {
          const outcome = await this.#ask(mapper, within);
          if ("mapped" in outcome) return this.#hold(outcome);
          failure ??= outcome;
          // By whatever protocol, it is the same gateway.
          if (outcome.why === "private-address") break;
        }
        this.#fail(failure ?? NO_GATEWAY);
        return undefined;
      });
    } catch (error) {
      signal.throwIfAborted();
      this.#fail(failure ?? failureOf(error));
      return undefined;
    }
  }

  async *#mappers(signal: AbortSignal): AsyncGenerator<PortMapper, void> {
    if (this.#lease !== undefined) yield this.#lease.mapper;
    yield* this.#options.find(signal);
  }

  async #ask(mapper: PortMapper, signal: AbortSignal): Promise<Lease | Failure> {
    const { runtime, port } = this.#options;
    this.#asked = mapper;
    try {
      const mapped = await mapper.map(port, LEASE_MS, signal);
      const lifetimeMs = Math.min(LEASE_MS, Math.max(LEASE_MS_MIN, mapped.lifetimeMs));
      if (isPublicAddress(mapped.host))
        return { mapper, mapped, untilMs: runtime.clock.monotonicMs() + lifetimeMs };
      await this.#unmap(mapper);
      this.#lease = undefined;
      const detail = `The gateway ${mapper.gateway} has the address ${mapped.host} itself: it is behind another NAT, which maps nothing.`;
      return { why: "private-address", detail };
    } catch (error) {
      signal.throwIfAborted();
      return failureOf(error);
    }
  }

  #hold(lease: Lease): Lease {
    const { mapper, mapped } = lease;
    this.#lease = lease;
    const address = formatTcpAddress(mapped.host, mapped.port);
    this.#tell({ phase: "mapped", protocol: mapper.protocol, gateway: mapper.gateway, address });
    return lease;
  }

  /** A lease that still runs outlives a failed renewal: others reach the peer by it as long as the gateway keeps it. */
  #fail(failure: Failure): void {
    this.#options.runtime.log.debug("port not mapped", { ...failure });
    if (this.#lease !== undefined && this.#lease.untilMs > this.#options.runtime.clock.monotonicMs()) return;
    this.#lease = undefined;
    this.#tell({ phase: "failed", ...failure });
  }

  #tell(state: PortMappingState): void {
    const isSame = JSON.stringify(state) === JSON.stringify(this.#state);
    this.#state = state;
    if (!isSame) this.#options.onChange(state);
  }

  async #unmap(mapper: PortMapper): Promise<void> {
    const { clock, log } = this.#options.runtime;
    try {
      const never = new AbortController().signal;
      await withDeadline(clock, UNMAP_TIMEOUT_MS, never, (signal) => mapper.unmap(signal));
    } catch (error) {
      log.debug("mapping not removed", { protocol: mapper.protocol, error: String(error) });
    }
  }

  #renewMs({ untilMs }: Lease): number {
    const { clock, random } = this.#options.runtime;
    return (untilMs - clock.monotonicMs()) * (RENEW.from + RENEW.spread * random.unit());
  }

  /** Not past the end of a lease that still runs: then the state changes. */
  #retryMs(failures: number): number {
    const { clock, random } = this.#options.runtime;
    const leftMs =
      this.#lease === undefined ? Number.POSITIVE_INFINITY : this.#lease.untilMs - clock.monotonicMs();
    return Math.max(RETRY.leastMs, Math.min(leftMs, RETRY.leastMs + backoffMs(failures, random, RETRY)));
  }

  /** Ends early when it is hurried. @throws the signal's reason */
  async #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve } = Promise.withResolvers<void>();
    const over = (): void => resolve();
    const timer = this.#options.runtime.clock.setTimer(delayMs, over);
    signal.addEventListener("abort", over);
    this.#wake = over;
    await promise;
    timer.cancel();
    signal.removeEventListener("abort", over);
    signal.throwIfAborted();
  }
}

function failureOf(error: unknown): Failure {
  const { code, message } = toPeerloomError(error, "link/failed", String(error));
  return { why: code === "link/unavailable" ? "no-gateway" : "refused", detail: message };
}
