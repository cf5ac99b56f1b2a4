/** An AbortSignal's reason can be anything; what peerloom throws is a PeerloomError. */
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import type { Clock } from "../runtime.ts";

/** The reason itself when it is ours, else `aborted` around it. */
export function abortError(signal: AbortSignal): PeerloomError {
  return toPeerloomError(signal.reason, "aborted", "Given up on request.");
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
