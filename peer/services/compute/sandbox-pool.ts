/**
 * The slots of a working peer: so many sandboxes, each with one task at a time. Whoever has tasks is a lane; free slots go round the lanes, so
 * that one asker's long queue does not hold up another's. A task that takes too long loses its sandbox, and the slot gets a new
 * one; sandboxes that nobody needs are ended.
 */
import { type ErrorCode, toPeerloomError } from "../../../shared/errors.ts";
import type { Clock, Sandbox, SandboxHost, Timer } from "../../runtime.ts";
import { PAGE_BYTES } from "./module-check.ts";
import type { Outcome } from "./outcome.ts";
import { OUTPUT_BYTES_MAX } from "./protocol.ts";

/** Compiling comes before the task's own time. */
const LOAD_MS_MAX = 10_000;
const IDLE_MS = 30_000;
/** A task that is no longer wanted may be almost done, and a new sandbox takes this long too. */
const CANCEL_GRACE_MS = 100;

/** A module as it may run: checked, and its memory bounded. */
export interface BoundModule {
  /** The same for the same bytes and bound. */
  readonly key: string;
  readonly bytes: Uint8Array;
  readonly memoryPages: number;
}

export interface SandboxTask {
  readonly module: BoundModule;
  readonly input: Uint8Array;
  readonly taskMs: number;
  /** Called once, unless the pool is closed before. */
  finish(outcome: Outcome): void;
}

export interface Lane {
  /** The next task to run; undefined when there is none now. */
  take(): SandboxTask | undefined;
}

interface Slot {
  sandbox: Sandbox | undefined;
  /** Key of the module that it has loaded. */
  loaded: string | undefined;
  task: SandboxTask | undefined;
  /** Why its sandbox is about to be ended, or was, under this task. */
  ended: ErrorCode | undefined;
  timer: Timer | undefined;
}

export class SandboxPool {
  readonly #host: SandboxHost;
  readonly #clock: Clock;
  readonly #slots: readonly Slot[];
  readonly #lanes = new Set<Lane>();
  readonly #ending = new Set<Promise<void>>();
  #idle: Timer | undefined;
  #closed = false;

  constructor(host: SandboxHost, clock: Clock, slots: number) {
    this.#host = host;
    this.#clock = clock;
    this.#slots = Array.from({ length: slots }, () => ({
      sandbox: undefined,
      loaded: undefined,
      task: undefined,
      ended: undefined,
      timer: undefined,
    }));
  }

  /** Starts a sandbox for the first task. @throws PeerloomError `compute/unavailable`, `compute/module-invalid` */
  async warm(module: Uint8Array): Promise<void> {
    const [slot] = this.#slots;
    if (slot === undefined) return;
    slot.sandbox ??= this.#host.start();
    try {
      await slot.sandbox.load(module);
    } catch (error) {
      this.#end(slot);
      throw error;
    }
    this.#rest();
  }

  add(lane: Lane): void {
    this.#lanes.add(lane);
  }

  remove(lane: Lane): void {
    this.#lanes.delete(lane);
  }

  /** A lane has tasks. */
  wake(): void {
    for (let free = this.#free(); free.length > 0; free = this.#free()) {
      const task = this.#take();
      if (task === undefined) return;
      // One that has the module already, rather than any.
      const slot = free.find(({ loaded }) => loaded === task.module.key) ?? free[0];
      if (slot !== undefined) this.#begin(slot, task);
    }
  }

  /** Nobody waits for a task's outcome any more. */
  drop(task: SandboxTask): void {
    const slot = this.#slots.find((each) => each.task === task);
    if (slot === undefined) return;
    slot.ended = "aborted";
    slot.timer?.cancel();
    slot.timer = this.#clock.setTimer(CANCEL_GRACE_MS, () => this.#end(slot));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#lanes.clear();
    this.#idle?.cancel();
    for (const slot of this.#slots) {
      slot.timer?.cancel();
      this.#end(slot);
    }
    await Promise.all(this.#ending);
  }

  #take(): SandboxTask | undefined {
    for (const lane of [...this.#lanes]) {
      const task = lane.take();
      if (task === undefined) continue;
      // To the end of the round.
      this.#lanes.delete(lane);
      this.#lanes.add(lane);
      return task;
    }
    return undefined;
  }

  #free(): readonly Slot[] {
    return this.#slots.filter(({ task }) => task === undefined);
  }

  #begin(slot: Slot, task: SandboxTask): void {
    slot.task = task;
    slot.ended = undefined;
    this.#idle?.cancel();
    void this.#run(slot, task).then((outcome) => {
      slot.timer?.cancel();
      slot.task = undefined;
      if (this.#closed) return;
      task.finish(outcome);
      this.wake();
      this.#rest();
    });
  }

  async #run(slot: Slot, { module, input, taskMs }: SandboxTask): Promise<Outcome> {
    try {
      const sandbox = (slot.sandbox ??= this.#host.start());
      if (slot.loaded !== module.key) {
        slot.loaded = undefined;
        this.#limit(slot, LOAD_MS_MAX);
        await sandbox.load(module.bytes);
        slot.loaded = module.key;
      }
      this.#limit(slot, taskMs);
      const limits = { outputBytesMax: OUTPUT_BYTES_MAX, memoryBytesMax: module.memoryPages * PAGE_BYTES };
      return { kind: "value", value: await sandbox.run(input, limits) };
    } catch (error) {
      const { code } = toPeerloomError(error, "compute/unavailable", "The sandbox failed.");
      if (code === "compute/unavailable") this.#end(slot);
      return { kind: "failure", code: slot.ended ?? code };
    }
  }

  #limit(slot: Slot, limitMs: number): void {
    // Already on its way out.
    if (slot.ended !== undefined) return;
    slot.timer?.cancel();
    slot.timer = this.#clock.setTimer(limitMs, () => {
      slot.ended = "compute/time-limit";
      this.#end(slot);
    });
  }

  #end(slot: Slot): void {
    const { sandbox } = slot;
    if (sandbox === undefined) return;
    slot.sandbox = undefined;
    slot.loaded = undefined;
    const ending = sandbox.kill().finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  /** Ends the sandboxes when nothing has run for a while. */
  #rest(): void {
    if (this.#slots.some(({ task }) => task !== undefined)) return;
    this.#idle?.cancel();
    this.#idle = this.#clock.setTimer(IDLE_MS, () => {
      for (const slot of this.#slots) if (slot.task === undefined) this.#end(slot);
    });
  }
}
