/**
 * Processing power between peers: `work` offers it, `map` uses it. A module is WebAssembly without imports that exports `memory`,
 * `alloc(n) -> ptr` and `run(ptr, len) -> i64` (`ptr << 32 | len`), so it can do nothing but compute.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import { type PeerId, requirePeerId } from "../../../shared/ids.ts";
import type { Clock } from "../../runtime.ts";
import type { ServiceHost } from "../host.ts";
import type { Records } from "../records/records.ts";
import { checkRange } from "./check-range.ts";
import { Computation } from "./computation.ts";
import type { TaskInputs } from "./input-reader.ts";
import { checkModule } from "./module-check.ts";
import { PAGES_MAX, TASK_MS_MAX } from "./protocol.ts";
import type { Job } from "./remote-worker.ts";
import type { Redundancy } from "./scheduler.ts";
import { WorkOffer, type WorkOptions } from "./work-offer.ts";

export interface MapOptions {
  /** Different peers that every input is given to at first, 1 to 16. @default 1 */
  readonly copies?: number;
  /**
   * Different peers that must give the same bytes. While fewer than so many lie, no wrong result is taken; more peers are asked until so
   * many agree. @default more than half of `copies`
   */
  readonly agree?: number;
  /**
   * Memory of an instance, pages of 64 KiB, 1 to 16,384. Workers that offer less are not used.
   * @default what the module declares, 1,024 at most; 256 if it declares nothing
   */
  readonly memoryPages?: number;
  /** Time of one task, ms, up to an hour; a worker may allow less. @default 10_000 */
  readonly taskMs?: number;
  /** Ids of peers to ask, beside those that are found. @default none */
  readonly workers?: readonly string[];
  /** Whether other working peers of this network are looked for. @default true */
  readonly discover?: boolean;
  /** Gives up when nothing could be done for so long, ms. @default 20_000 */
  readonly patienceMs?: number;
  readonly signal?: AbortSignal;
}

export const MAP_DEFAULTS = { copies: 1, taskMs: 10_000, discover: true, patienceMs: 20_000 } as const;

const COPIES_MAX = 16;
/** Of a module that does not say what it needs, and the most that is asked for unless told. */
const PAGES_UNDECLARED = 256;
const PAGES_ASKED_MAX = 1_024;

export class Compute {
  readonly #host: ServiceHost;
  readonly #records: Pick<Records, "provide" | "providers">;
  readonly #liars: Liars;
  readonly #computations = new Set<Computation>();
  #offer: Promise<WorkOffer> | undefined;
  #closed = false;

  constructor(host: ServiceHost, records: Pick<Records, "provide" | "providers">) {
    this.#host = host;
    this.#records = records;
    this.#liars = new Liars(host.runtime.clock);
  }

  /**
   * Offers this machine's processors to other peers of the network, within limits, until closed.
   * @throws PeerloomError `compute/unavailable`, `usage/invalid` (also when it works already), `id/invalid`, `peer/closed`
   * @example
   * const offer = await peer.compute.work({ slots: 2, allow: [friendId] });
   */
  async work(options: WorkOptions = {}): Promise<WorkOffer> {
    if (this.#closed) throw new PeerloomError("peer/closed", "This peer is closing.");
    if (this.#offer !== undefined)
      throw new PeerloomError("usage/invalid", "This peer works already. Close that offer first.");
    const forget = (): void => {
      this.#offer = undefined;
    };
    this.#offer = WorkOffer.open(this.#host, this.#records, options, forget);
    this.#offer.catch(forget);
    return this.#offer;
  }

  /**
   * Runs a module over inputs on other peers. Nothing happens before the results are read; they come as they are done, each with the index of
   * its input. Inputs and results have 4 MiB at most, and whoever works sees them.
   * @throws PeerloomError `usage/invalid`, `id/invalid`; what else may fail is thrown while results are read
   * @example
   * for await (const { index, value } of peer.compute.map(wasm, inputs, { copies: 2, agree: 2 })) {}
   */
  map(module: Uint8Array | ArrayBuffer, inputs: TaskInputs, options: MapOptions = {}): Computation {
    const { copies, discover, patienceMs, workers = [], signal } = { ...MAP_DEFAULTS, ...options };
    const redundancy = checkRedundancy(copies, options.agree);
    const bytes = new Uint8Array(module instanceof ArrayBuffer ? module : module.slice());
    const computation = new Computation({
      host: this.#host,
      records: this.#records,
      inputs,
      redundancy,
      named: workers.map(requirePeerId),
      discover,
      patienceMs,
      signal,
      prepare: () => {
        if (this.#closed) throw new PeerloomError("peer/closed", "This peer is closing.");
        this.#computations.add(computation);
        return this.#prepare(bytes, options);
      },
      isLiar: (id) => this.#liars.has(id),
      blame: (id) => this.#liars.add(id),
      ended: () => this.#computations.delete(computation),
    });
    return computation;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const computation of [...this.#computations])
      computation.fail(new PeerloomError("peer/closed", "This peer is closing."));
    const offer = await this.#offer?.catch(() => undefined);
    await offer?.close();
  }

  async #prepare(module: Uint8Array, options: MapOptions): Promise<Job> {
    const { pagesMin, pagesMax, bound } = checkModule(module);
    const declared = Math.min(pagesMax ?? PAGES_UNDECLARED, PAGES_ASKED_MAX);
    const memoryPages = options.memoryPages ?? Math.max(pagesMin, declared, 1);
    const taskMs = options.taskMs ?? MAP_DEFAULTS.taskMs;
    checkRange("memoryPages", memoryPages, PAGES_MAX);
    checkRange("taskMs", taskMs, TASK_MS_MAX);
    // Refused here rather than by every worker.
    bound(memoryPages);
    return { module, hash: await this.#host.runtime.hash.sha256(module), memoryPages, taskMs };
  }
}

/** Peers that were caught lying are not asked again for an hour: honest ones may be among them, if a module is not deterministic. */
class Liars {
  static readonly #KEPT_MS = 3_600_000;
  /** Past that the one caught first is forgotten. */
  static readonly #MAX = 1_024;
  readonly #clock: Clock;
  readonly #caughtAtMs = new Map<PeerId, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(id: PeerId): void {
    this.#caughtAtMs.delete(id);
    this.#caughtAtMs.set(id, this.#clock.monotonicMs());
    const [oldest] = this.#caughtAtMs.keys();
    if (this.#caughtAtMs.size > Liars.#MAX && oldest !== undefined) this.#caughtAtMs.delete(oldest);
  }

  has(id: PeerId): boolean {
    const caughtAtMs = this.#caughtAtMs.get(id);
    return caughtAtMs !== undefined && this.#clock.monotonicMs() - caughtAtMs < Liars.#KEPT_MS;
  }
}

function checkRedundancy(copies: number, agree: number = Math.floor(copies / 2) + 1): Redundancy {
  checkRange("copies", copies, COPIES_MAX);
  checkRange("agree", agree, copies);
  return { copies, agree };
}
