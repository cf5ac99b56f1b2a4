/** Time as a page has it. Hidden pages get their timers late; sessions forgive a clock that stood still. */
import type { Clock } from "../../runtime.ts";
import { sleepOn } from "../sleep.ts";

const channel = new MessageChannel();
const deferred: (() => void)[] = [];
channel.port1.onmessage = () => deferred.shift()?.();

export const browserClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  /** By the second; by the minute after five minutes, but not in a page with a connection (developer.chrome.com/blog/timer-throttling-in-chrome-88). */
  get slackMs() {
    return globalThis.document?.visibilityState === "hidden" ? 1_000 : 0;
  },
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
  sleep: (delayMs, signal) => sleepOn(browserClock, delayMs, signal),
  // A timeout of zero is held back to 4 ms when nested; a message is not.
  defer(callback) {
    deferred.push(callback);
    channel.port2.postMessage(0);
  },
};
