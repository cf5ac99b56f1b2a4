/**
 * One run of a module over inputs, on other peers: feeds tasks to the scheduler, carries them to workers and their outcomes back, and yields
 * what is agreed on as it comes. Inputs are read as they are needed and results wait for their reader, so that neither list
 * has to fit in memory.
 */
import { type ErrorCode, PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { Timer } from "../../runtime.ts";
import type { ServiceHost } from "../host.ts";
import { Patience } from "../patience.ts";
import type { Records } from "../records/records.ts";
import { standstill, taskFailed, workersDisagree } from "./failures.ts";
import { InputReader, type TaskInputs } from "./input-reader.ts";
import type { Outcome } from "./outcome.ts";
import type { Job, RemoteWorker } from "./remote-worker.ts";
import { type Redundancy, Scheduler, type Settled } from "./scheduler.ts";
import { WORKERS_MAX, WorkerSearch } from "./worker-search.ts";

/** Looks for stragglers and for a standstill. */
const TICK_MS = 100;
/** Tasks read beyond what the workers can have under way, so that none waits for the next input. */
const READ_AHEAD = 16;
/** Inputs held until their task is over; past either nothing more is read. */
const INPUTS_BYTES_MAX: number = 32 * 1024 * 1024;
/** Results that wait for their reader; past either nothing more is read. */
const RESULTS_MAX = 1_024;
const RESULTS_BYTES_MAX: number = 32 * 1024 * 1024;

/** Ends by which a worker is not asked again in this computation: it said nothing for too long, or nonsense. */
const IS_FINAL: ReadonlySet<ErrorCode> = new Set([
  "link/timeout",
  "compute/protocol",
  "wire/malformed",
  "wire/too-large",
]);

export interface TaskResult {
  /** Of the input, from 0. */
  readonly index: number;
  readonly value: Uint8Array;
  /** Workers that gave it. */
  readonly by: readonly PeerId[];
}

export interface ComputeProgress {
  /** Results so far. */
  readonly done: number;
  /** Inputs read so far; all of them once `isComplete`. */
  readonly given: number;
  readonly isComplete: boolean;
  /** Peers that work on it now. */
  readonly workers: number;
  /** Answers that were found wrong. */
  readonly rejected: number;
}

export interface ComputationParts {
  readonly host: ServiceHost;
  readonly records: Pick<Records, "providers">;
  readonly inputs: TaskInputs;
  readonly redundancy: Redundancy;
  readonly named: readonly PeerId[];
  readonly discover: boolean;
  /** Without anything under way. */
  readonly patienceMs: number;
  readonly signal: AbortSignal | undefined;
  prepare(): Promise<Job>;
  isLiar(id: PeerId): boolean;
  /** The peer gave an answer that others, enough of them, contradict. */
  blame(id: PeerId): void;
  ended(): void;
}

/**
 * Results in the order they come. Begins when it is first read; leaving the loop, or the signal, ends it.
 *
 * Events: `progress` (CustomEvent<ComputeProgress>).
 */
export class Computation extends EventTarget implements AsyncIterable<TaskResult> {
  readonly #parts: ComputationParts;
  readonly #scheduler: Scheduler<PeerId>;
  readonly #workers = new Map<PeerId, RemoteWorker>();
  readonly #inputs = new Map<number, Uint8Array>();
  readonly #results: TaskResult[] = [];
  readonly #contributors = new Set<PeerId>();
  readonly #stop = new AbortController();
  readonly #patience: Patience;
  #search: WorkerSearch | undefined;
  #tick: Timer | undefined;
  #given = 0;
  #done = 0;
  #rejected = 0;
  #inputBytes = 0;
  #resultBytes = 0;
  #isFed = false;
  #hasBegun = false;
  #error: PeerloomError | undefined;
  #changed: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(parts: ComputationParts) {
    super();
    this.#parts = parts;
    this.#scheduler = new Scheduler(parts.redundancy);
    this.#patience = new Patience(parts.host.runtime.clock);
  }

  /** Peers whose answers were taken. */
  get contributors(): readonly PeerId[] {
    return [...this.#contributors];
  }

  get progress(): ComputeProgress {
    return {
      done: this.#done,
      given: this.#given,
      isComplete: this.#isFed,
      workers: this.#scheduler.workers,
      rejected: this.#rejected,
    };
  }

  /**
   * @throws PeerloomError `compute/no-workers`, `compute/no-agreement`, `compute/trap`, `compute/memory-limit`, `compute/stack-limit`,
   * `compute/time-limit`, `compute/too-large`, `compute/module-invalid`, `compute/module-refused`, `usage/invalid`, `peer/closed`, `aborted`
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<TaskResult, void, undefined> {
    if (this.#hasBegun)
      throw new PeerloomError("usage/invalid", "A computation runs once; map again for another.");
    this.#hasBegun = true;
    const { signal } = this.#parts;
    const abort = (): void =>
      this.fail(new PeerloomError("aborted", "The computation was stopped.", { cause: signal?.reason }));
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted === true) abort();
    const running = this.#run();
    try {
      for (;;) {
        const result = this.#results.shift();
        if (this.#error !== undefined) throw this.#error;
        if (result !== undefined) {
          this.#resultBytes -= result.value.length;
          this.#change();
          yield result;
        } else if (this.#isOver) return;
        else await this.#changed.promise;
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#end();
      await running;
    }
  }

  /** Ends it with an error for its reader. */
  fail(error: PeerloomError): void {
    this.#error ??= error;
    this.#end();
  }

  get #isOver(): boolean {
    return this.#isFed && this.#scheduler.open === 0;
  }

  async #run(): Promise<void> {
    const { host, records, named, discover } = this.#parts;
    if (this.#stop.signal.aborted) return;
    try {
      const job = await this.#parts.prepare();
      if (this.#stop.signal.aborted) return;
      this.#patience.reset();
      const search = new WorkerSearch({
        host,
        records,
        job,
        named,
        discover,
        signal: this.#stop.signal,
        isKnown: (id) => this.#isKnown(id),
        found: (worker) => this.#join(worker),
      });
      this.#search = search;
      this.#planTick();
      await Promise.all([search.run(), this.#feed()]);
    } catch (error) {
      this.fail(toPeerloomError(error, "aborted", "The computation was stopped."));
    }
  }

  #end(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(new PeerloomError("aborted", "The computation is over."));
    this.#tick?.cancel();
    for (const worker of this.#workers.values()) worker.close();
    this.#workers.clear();
    this.#inputs.clear();
    this.#parts.ended();
    this.#change();
  }

  // --- inputs ---

  async #feed(): Promise<void> {
    const reader = new InputReader(this.#parts.inputs, this.#stop.signal);
    for (let input = await reader.next(); input !== undefined; input = await reader.next()) {
      const index = this.#given++;
      this.#inputs.set(index, input);
      this.#inputBytes += input.length;
      this.#scheduler.add(index);
      this.#pump();
      while (!this.#stop.signal.aborted && this.#isFull()) await this.#changed.promise;
    }
    this.#isFed = !this.#stop.signal.aborted;
    this.#tell();
  }

  #isFull(): boolean {
    return (
      this.#scheduler.open >= this.#scheduler.capacity + READ_AHEAD ||
      this.#inputBytes >= INPUTS_BYTES_MAX ||
      this.#results.length >= RESULTS_MAX ||
      this.#resultBytes >= RESULTS_BYTES_MAX
    );
  }

  // --- workers ---

  #isKnown(id: PeerId): boolean {
    const isFull = this.#scheduler.workers >= WORKERS_MAX;
    return isFull || this.#scheduler.has(id) || this.#scheduler.isExcluded(id) || this.#parts.isLiar(id);
  }

  #join(worker: RemoteWorker): void {
    this.#workers.set(worker.id, worker);
    this.#scheduler.join(worker.id, worker.slots);
    worker.start({
      outcome: (index, outcome) => this.#outcome(worker.id, index, outcome),
      end: (error) => this.#lost(worker.id, error),
    });
    this.#tell();
    this.#pump();
  }

  #lost(id: PeerId, error: PeerloomError): void {
    this.#parts.host.runtime.log.debug("worker lost", { code: error.code });
    // Whoever takes tasks and keeps them would be given them again for ever.
    if (IS_FINAL.has(error.code)) this.#exclude(id);
    this.#workers.delete(id);
    this.#scheduler.leave(id);
    this.#search?.lost(id);
    this.#tell();
    this.#pump();
  }

  /** Gives every worker what it asks for, in turn. */
  #pump(): void {
    if (this.#stop.signal.aborted) return;
    const nowMs = this.#parts.host.runtime.clock.monotonicMs();
    const hungry = new Set(this.#workers.values());
    while (hungry.size > 0) {
      for (const worker of hungry) {
        const index = this.#scheduler.take(worker.id, nowMs);
        const input = index === undefined ? undefined : this.#inputs.get(index);
        if (index === undefined || input === undefined) hungry.delete(worker);
        else worker.send(index, input);
      }
    }
    if (this.#scheduler.isRunning) this.#patience.reset();
    this.#change();
  }

  #outcome(id: PeerId, index: number, outcome: Outcome): void {
    const nowMs = this.#parts.host.runtime.clock.monotonicMs();
    const settled = this.#scheduler.answer(id, index, outcome, nowMs);
    if (settled !== undefined) this.#settle(settled);
    this.#pump();
  }

  #settle({ index, verdict, stop }: Settled<PeerId>): void {
    for (const id of stop) this.#workers.get(id)?.cancel(index);
    if (verdict.kind === "split") return this.fail(workersDisagree(index));
    for (const id of verdict.wrong) this.#reject(id);
    const { outcome, by } = verdict;
    if (outcome.kind === "failure") return this.fail(taskFailed(index, outcome.code));
    this.#inputBytes -= this.#inputs.get(index)?.length ?? 0;
    this.#inputs.delete(index);
    this.#done += 1;
    for (const id of by) this.#contributors.add(id);
    this.#results.push({ index, value: outcome.value, by });
    this.#resultBytes += outcome.value.length;
    this.#tell();
  }

  /** It said what others, enough of them, contradict. */
  #reject(id: PeerId): void {
    this.#rejected += 1;
    this.#parts.blame(id);
    this.#exclude(id);
  }

  #exclude(id: PeerId): void {
    this.#scheduler.exclude(id);
    this.#workers.get(id)?.close();
    this.#workers.delete(id);
  }

  // --- time ---

  #planTick(): void {
    this.#tick = this.#parts.host.runtime.clock.setTimer(TICK_MS, () => {
      if (this.#stop.signal.aborted) return;
      this.#planTick();
      if (this.#search?.isSettled === true)
        for (const settled of this.#scheduler.exhaust()) this.#settle(settled);
      this.#pump();
      this.#checkStandstill();
    });
  }

  #checkStandstill(): void {
    const { patienceMs, redundancy } = this.#parts;
    if (this.#scheduler.open === 0) this.#patience.reset();
    if (this.#patience.waitedMs() < patienceMs) return;
    this.fail(standstill(this.#scheduler.workers, redundancy.agree, this.#search?.lastRefusal));
  }

  #tell(): void {
    this.dispatchEvent(new CustomEvent("progress", { detail: this.progress }));
    this.#change();
  }

  /** Wakes reader and feeder. */
  #change(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve();
  }
}
