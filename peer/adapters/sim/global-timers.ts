/**
 * The host's own timers and clock, set to simulated time: for applications that ask the host and take no clock. Peers never do. What computes
 * without waiting sees time stand still, as in all simulations.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { Clock, Timer } from "../../runtime.ts";

type Callback = (...values: unknown[]) => void;

/** What is set; the rest of a host goes on in real time. */
const NAMES = ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] as const;

let isSet = false;

/**
 * @returns sets them back
 * @throws PeerloomError `usage/invalid` while they are set to another simulation's time
 */
export function setGlobalTimers(clock: Clock): () => void {
  if (isSet) throw new PeerloomError("usage/invalid", "The timers of this process are simulated already.");
  isSet = true;
  const before = NAMES.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const);
  const timers = new GlobalTimers(clock);
  const values: { readonly [name in (typeof NAMES)[number]]: unknown } = {
    setTimeout: (callback: Callback, delayMs?: number, ...rest: unknown[]) =>
      timers.once(() => callback(...rest), delayMs),
    clearTimeout: (timer: unknown) => timers.clear(timer),
    setInterval: (callback: Callback, delayMs?: number, ...rest: unknown[]) =>
      timers.each(() => callback(...rest), delayMs),
    clearInterval: (timer: unknown) => timers.clear(timer),
    Date: dateOf(clock),
  };
  for (const name of NAMES)
    Object.defineProperty(globalThis, name, { configurable: true, writable: true, value: values[name] });
  return () => {
    isSet = false;
    for (const [name, descriptor] of before)
      if (descriptor !== undefined) Object.defineProperty(globalThis, name, descriptor);
  };
}

/** As in Node, where a timer is an object that can be told not to keep the process alive; as in browsers, it is a number where one is wanted. */
interface GlobalTimer {
  ref(): GlobalTimer;
  unref(): GlobalTimer;
  hasRef(): boolean;
  [Symbol.toPrimitive](): number;
}

class GlobalTimers {
  readonly #clock: Clock;
  readonly #running = new Map<number, Timer>();
  #nextId = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  once(callback: () => void, delayMs: number | undefined): GlobalTimer {
    const id = this.#nextId++;
    this.#plan(id, delayMs, () => {
      this.#running.delete(id);
      callback();
    });
    return timerOf(id);
  }

  each(callback: () => void, delayMs: number | undefined): GlobalTimer {
    const id = this.#nextId++;
    const run = (): void => {
      this.#plan(id, delayMs, run);
      callback();
    };
    this.#plan(id, delayMs, run);
    return timerOf(id);
  }

  clear(timer: unknown): void {
    const id = Number(timer);
    this.#running.get(id)?.cancel();
    this.#running.delete(id);
  }

  /** No timer takes less than a millisecond, as in Node: one that calls itself would stop the time. */
  #plan(id: number, delayMs: number | undefined, callback: () => void): void {
    const wholeMs = Math.trunc(Number(delayMs ?? 0)) || 0;
    this.#running.set(id, this.#clock.setTimer(Math.max(1, wholeMs), callback));
  }
}

function timerOf(id: number): GlobalTimer {
  const timer: GlobalTimer = {
    ref: () => timer,
    unref: () => timer,
    hasRef: () => true,
    [Symbol.toPrimitive]: () => id,
  };
  return timer;
}

function dateOf(clock: Clock): DateConstructor {
  return new Proxy(Date, {
    apply: (target) => new target(clock.nowMs()).toString(),
    construct: (target, given, newTarget) =>
      Reflect.construct(target, given.length === 0 ? [clock.nowMs()] : given, newTarget) as Date,
    get: (target, name) => (name === "now" ? () => clock.nowMs() : (Reflect.get(target, name) as unknown)),
  });
}
