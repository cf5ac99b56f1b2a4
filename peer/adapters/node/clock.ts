/** Time as Node has it. Timers do not keep the process alive: sockets and the command line do. */
import type { Clock } from "../../runtime.ts";
import { sleepOn } from "../sleep.ts";

export const nodeClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  sleep: (delayMs, signal) => sleepOn(nodeClock, delayMs, signal),
  defer(callback) {
    setImmediate(callback);
  },
};
