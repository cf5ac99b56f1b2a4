/**
 * Which task next, at which worker. Pure bookkeeping: workers pull, each has as many tasks under way as its measured speed asks for; a
 * task goes to as many different workers as must agree; what a lost worker had goes to others, and so does, when nothing new is
 * left, what others would finish sooner (backup tasks as in MapReduce, Dean and Ghemawat 2004). It sends nothing itself.
 */
import { Agreement, type Verdict } from "./agreement.ts";
import type { Outcome } from "./outcome.ts";

/** Tasks under way for each slot: one that runs and one that waits, or as many as fill this time. */
const DEPTH_MIN = 2;
const DEPTH_MAX = 64;
const WINDOW_MS = 200;
const SPEED_SMOOTHING = 0.3;
/** What a worker is thought to take before it has answered anything. */
const TASK_MS_UNKNOWN = 1_000;
/** Copies of one task beyond those that must agree. */
const BACKUPS_MAX = 2;
/** A backup must promise to be so much sooner. */
const BACKUP_GAIN = 1.2;

export interface Redundancy {
  /** Workers that every task is given to at first. */
  readonly copies: number;
  /** Workers that must give the same answer. */
  readonly agree: number;
}

/** A task that is over. */
export interface Settled<W> {
  readonly index: number;
  readonly verdict: Exclude<Verdict<W>, { readonly kind: "open" }>;
  /** Workers that still have it and need not go on. */
  readonly stop: readonly W[];
}

interface Dispatch {
  readonly atMs: number;
  /** Tasks that the worker had under way before it. */
  readonly before: number;
}

interface Task<W> {
  readonly index: number;
  readonly agreement: Agreement<W>;
  readonly running: Map<W, Dispatch>;
}

interface WorkerState<W> {
  readonly worker: W;
  readonly slots: number;
  /** By index, in the order they were given. */
  readonly tasks: Map<number, Task<W>>;
  /** Of one slot, smoothed; undefined before the first answer. */
  taskMs: number | undefined;
}

export class Scheduler<W> {
  readonly #redundancy: Redundancy;
  readonly #tasks = new Map<number, Task<W>>();
  /** Those that must be given to one more worker. */
  readonly #needy = new Set<Task<W>>();
  readonly #workers = new Map<W, WorkerState<W>>();
  readonly #excluded = new Set<W>();

  constructor(redundancy: Redundancy) {
    this.#redundancy = redundancy;
  }

  /** Tasks that are not over. */
  get open(): number {
    return this.#tasks.size;
  }

  get workers(): number {
    return this.#workers.size;
  }

  /** Tasks that may be under way at all workers together. */
  get capacity(): number {
    return [...this.#workers.values()].reduce((sum, state) => sum + windowOf(state), 0);
  }

  /** Whether a task is under way anywhere. */
  get isRunning(): boolean {
    return [...this.#workers.values()].some(({ tasks }) => tasks.size > 0);
  }

  has(worker: W): boolean {
    return this.#workers.has(worker);
  }

  isExcluded(worker: W): boolean {
    return this.#excluded.has(worker);
  }

  add(index: number): void {
    const task = { index, agreement: new Agreement<W>(this.#redundancy.agree), running: new Map() };
    this.#tasks.set(index, task);
    this.#needy.add(task);
  }

  join(worker: W, slots: number): void {
    if (this.#excluded.has(worker)) return;
    this.#workers.set(worker, { worker, slots, tasks: new Map(), taskMs: undefined });
  }

  /** The worker is gone; what it had goes to others, and it may come again. */
  leave(worker: W): void {
    const state = this.#workers.get(worker);
    if (state === undefined) return;
    this.#workers.delete(worker);
    for (const task of state.tasks.values()) {
      task.running.delete(worker);
      this.#look(task);
    }
  }

  /** The worker lies: it gets nothing more, and what it said of open tasks counts no more. */
  exclude(worker: W): void {
    this.leave(worker);
    this.#excluded.add(worker);
    for (const task of this.#tasks.values()) {
      task.agreement.discount(worker);
      this.#look(task);
    }
  }

  /** The next task for a worker, now under way there; undefined when it has enough to do or nothing is left for it. */
  take(worker: W, nowMs: number): number | undefined {
    const state = this.#workers.get(worker);
    if (state === undefined || state.tasks.size >= windowOf(state)) return undefined;
    const task = this.#next(worker) ?? this.#backup(state, nowMs);
    if (task === undefined) return undefined;
    const dispatch = { atMs: nowMs, before: state.tasks.size };
    task.running.set(worker, dispatch);
    state.tasks.set(task.index, task);
    this.#look(task);
    return task.index;
  }

  /** A worker's answer. @returns the task's end, if this was it; undefined too for an answer that nobody waits for */
  answer(worker: W, index: number, outcome: Outcome, nowMs: number): Settled<W> | undefined {
    const state = this.#workers.get(worker);
    const task = state?.tasks.get(index);
    const dispatch = task?.running.get(worker);
    if (state === undefined || task === undefined || dispatch === undefined) return undefined;
    state.tasks.delete(index);
    task.running.delete(worker);
    learn(state, nowMs - dispatch.atMs, dispatch.before);
    return this.#settle(task, task.agreement.vote(worker, outcome));
  }

  /** Ends tasks that every worker there is has answered; to be called when no more workers are expected. */
  exhaust(): readonly Settled<W>[] {
    const settled: Settled<W>[] = [];
    if (this.#workers.size === 0) return settled;
    for (const task of this.#tasks.values()) {
      if (task.running.size > 0 || task.agreement.votes === 0) continue;
      const isOpen = [...this.#workers.keys()].some((worker) => !task.agreement.has(worker));
      const end = isOpen ? undefined : this.#settle(task, task.agreement.exhausted());
      if (end !== undefined) settled.push(end);
    }
    return settled;
  }

  #settle(task: Task<W>, verdict: Verdict<W>): Settled<W> | undefined {
    if (verdict.kind === "open") {
      this.#look(task);
      return undefined;
    }
    const stop = [...task.running.keys()];
    for (const worker of stop) this.#workers.get(worker)?.tasks.delete(task.index);
    this.#tasks.delete(task.index);
    this.#needy.delete(task);
    return { index: task.index, verdict, stop };
  }

  /** The first task that must be given to one more worker and may be given to this one. */
  #next(worker: W): Task<W> | undefined {
    for (const task of this.#needy) if (isNewTo(task, worker)) return task;
    return undefined;
  }

  /** Its copies or its votes have changed. */
  #look(task: Task<W>): void {
    if (this.#missing(task) > 0) this.#needy.add(task);
    else this.#needy.delete(task);
  }

  #missing({ agreement, running }: Task<W>): number {
    return Math.max(agreement.missing, this.#redundancy.copies - agreement.votes, 1) - running.size;
  }

  /** The task that others will take longest for, if this worker would be sooner. */
  #backup(state: WorkerState<W>, nowMs: number): Task<W> | undefined {
    const ownMs = (state.taskMs ?? TASK_MS_UNKNOWN) * BACKUP_GAIN;
    let best: Task<W> | undefined;
    let bestMs = ownMs;
    for (const task of this.#tasks.values()) {
      if (-this.#missing(task) >= BACKUPS_MAX || !isNewTo(task, state.worker)) continue;
      const leftMs = Math.min(...[...task.running].map(([worker, at]) => this.#leftMs(worker, at, nowMs)));
      if (leftMs <= bestMs) continue;
      best = task;
      bestMs = leftMs;
    }
    return best;
  }

  /** What a worker will still need for a task; one that is overdue is thought to need as long again as it is late. */
  #leftMs(worker: W, { atMs, before }: Dispatch, nowMs: number): number {
    const state = this.#workers.get(worker);
    const rounds = 1 + Math.floor(before / (state?.slots ?? 1));
    return Math.abs((state?.taskMs ?? TASK_MS_UNKNOWN) * rounds - (nowMs - atMs));
  }
}

function isNewTo<W>({ agreement, running }: Task<W>, worker: W): boolean {
  return !running.has(worker) && !agreement.has(worker);
}

function windowOf<W>({ slots, taskMs }: WorkerState<W>): number {
  const depth = taskMs === undefined ? DEPTH_MIN : Math.ceil(WINDOW_MS / Math.max(taskMs, 0.1)) + 1;
  return slots * Math.min(Math.max(depth, DEPTH_MIN), DEPTH_MAX);
}

/** Those that were before it took their turns first. */
function learn<W>(state: WorkerState<W>, elapsedMs: number, before: number): void {
  const sampleMs = elapsedMs / (1 + Math.floor(before / state.slots));
  state.taskMs =
    state.taskMs === undefined ? sampleMs : state.taskMs + SPEED_SMOOTHING * (sampleMs - state.taskMs);
}
