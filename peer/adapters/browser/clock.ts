/** Time as a page has it. Hidden pages get their timers late; sessions forgive a clock that stood still. */
import type { Clock } from "../../runtime.ts";

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
  sleep: (delayMs, signal) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const abort = (): void => {
        clearTimeout(timer);
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", abort);
        resolve();
      }, delayMs);
      signal?.addEventListener("abort", abort, { once: true });
    }),
  // A timeout of zero is held back to 4 ms when nested; a message is not.
  defer(callback) {
    deferred.push(callback);
    channel.port2.postMessage(0);
  },
};
