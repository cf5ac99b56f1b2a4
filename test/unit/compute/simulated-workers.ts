/** Workers on virtual time around the real scheduler: each with slots, a speed, a way there and back, and a character. */
import type { Outcome } from "../../../peer/services/compute/outcome.ts";
import { type Redundancy, Scheduler } from "../../../peer/services/compute/scheduler.ts";

export interface SimulatedWorker {
  readonly name: string;
  readonly slots?: number;
  /** What a task of 1 takes it. */
  readonly taskMs: number;
  readonly rttMs?: number;
  /** Answers nothing any more from then on, and is noticed to be gone. */
  readonly diesAtMs?: number;
  /** Takes so much longer from then on. */
  readonly slows?: { readonly atMs: number; readonly times: number };
  readonly lies?: (index: number) => boolean;
}

export interface SimulationResult {
  readonly makespanMs: number;
  /** By index: whether what was taken is right. */
  readonly right: ReadonlyMap<number, boolean>;
  readonly split: number;
  /** Tasks given to workers, copies and repeats included. */
  readonly given: number;
  readonly wrong: ReadonlySet<string>;
  readonly done: ReadonlyMap<string, number>;
}

interface Happening {
  readonly atMs: number;
  readonly order: number;
  run(): void;
}

const TICK_MS = 20;
const READ_AHEAD = 16;
const ROUNDS_MAX = 1_000_000;

/** @param sizes of the tasks: how many times the worker's `taskMs` each takes */
export function simulate(
  sizes: readonly number[],
  workers: readonly SimulatedWorker[],
  redundancy: Redundancy = { copies: 1, agree: 1 },
): SimulationResult {
  const scheduler = new Scheduler<string>(redundancy);
  const queue: Happening[] = [];
  const right = new Map<number, boolean>();
  const wrong = new Set<string>();
  const done = new Map<string, number>();
  const cancelled = new Set<string>();
  /** When each slot of a worker is free. */
  const freeAtMs = new Map(
    workers.map(({ name, slots = 1 }) => [name, Array.from({ length: slots }, () => 0)]),
  );
  let nowMs = 0;
  let order = 0;
  let given = 0;
  let split = 0;
  let fed = 0;
  let endMs = 0;

  const at = (atMs: number, run: () => void): void => {
    queue.push({ atMs, order: order++, run });
  };
  const feed = (): void => {
    while (fed < sizes.length && scheduler.open < scheduler.capacity + READ_AHEAD) scheduler.add(fed++);
  };
  const pump = (): void => {
    feed();
    for (let isBusy = true; isBusy;) {
      isBusy = false;
      for (const worker of workers) {
        const index = scheduler.take(worker.name, nowMs);
        if (index === undefined) continue;
        isBusy = true;
        give(worker, index);
        feed();
      }
    }
  };
  const give = (worker: SimulatedWorker, index: number): void => {
    const { name, taskMs, rttMs = 1, diesAtMs = Number.POSITIVE_INFINITY, slows, lies } = worker;
    given += 1;
    const label = `${name}/${index}/${given}`;
    const slots = freeAtMs.get(name) as number[];
    const slot = slots.indexOf(Math.min(...slots));
    const startMs = Math.max(nowMs + rttMs / 2, slots[slot] as number);
    const factor = slows !== undefined && startMs >= slows.atMs ? slows.times : 1;
    const endsMs = startMs + taskMs * factor * (sizes[index] as number);
    slots[slot] = endsMs;
    if (endsMs + rttMs / 2 >= diesAtMs) return;
    at(endsMs + rttMs / 2, () => {
      if (cancelled.has(label)) return;
      const outcome: Outcome = {
        kind: "value",
        value: Uint8Array.of(lies?.(index) === true ? 1 : 0, index % 256),
      };
      done.set(name, (done.get(name) ?? 0) + 1);
      const settled = scheduler.answer(name, index, outcome, nowMs);
      if (settled !== undefined) {
        endMs = nowMs;
        const { verdict } = settled;
        if (verdict.kind === "split") split += 1;
        else {
          right.set(settled.index, verdict.outcome.kind === "value" && verdict.outcome.value[0] === 0);
          for (const liar of verdict.wrong) {
            wrong.add(liar);
            scheduler.exclude(liar);
          }
        }
      }
      pump();
    });
  };
  const tick = (): void => {
    pump();
    if (right.size + split < sizes.length) at(nowMs + TICK_MS, tick);
  };

  for (const { name, slots = 1, diesAtMs } of workers) {
    scheduler.join(name, slots);
    if (diesAtMs !== undefined)
      at(diesAtMs, () => {
        scheduler.leave(name);
        pump();
      });
  }
  at(0, tick);
  for (let round = 0; right.size + split < sizes.length; round++) {
    queue.sort((a, b) => b.atMs - a.atMs || b.order - a.order);
    const next = queue.pop();
    if (next === undefined || round > ROUNDS_MAX) throw new Error(`stands still at ${nowMs} ms`);
    nowMs = next.atMs;
    next.run();
  }
  return { makespanMs: endMs, right, split, given, wrong, done };
}
