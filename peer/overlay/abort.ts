/** An AbortSignal's reason can be anything; what peerloom throws is a PeerloomError. */
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import type { Clock } from "../runtime.ts";

/** The reason itself when it is ours, else `aborted` around it. */
export function abortError(signal: AbortSignal): PeerloomError {
  return toPeerloomError(signal.reason, "aborted", "Given up on request.");
}

/** Waits for a promise as long as the signal lets it; what the promise stands for goes on. @throws as `abortError` */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(abortError(signal));
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener("abort", abort));
}

/** Runs with a signal that is aborted with `link/timeout` after so long, and with the one given. */
export async function withDeadline<T>(
  clock: Clock,
  timeoutMs: number,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const timer = clock.setTimer(timeoutMs, () =>
    late.abort(new PeerloomError("link/timeout", `Nothing came of it in ${timeoutMs / 1_000} s.`)),
  );
  try {
    return await run(AbortSignal.any([signal, late.signal]));
  } finally {
    timer.cancel();
  }
}
