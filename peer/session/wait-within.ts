/** Waiting for what others do, for a time at most. */
import { type PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import type { Clock } from "../runtime.ts";

/**
 * Waits for a promise, but no longer than so; what it stands for goes on.
 * @throws `late()` when the time is over; the signal's reason as a PeerloomError, `aborted` when it is none
 */
export async function waitWithin<T>(
  clock: Clock,
  promise: Promise<T>,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  late: () => PeerloomError,
): Promise<T> {
  const over = new AbortController();
  const until = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
  const ended = clock.sleep(timeoutMs, until).then(
    () => {
      throw late();
    },
    (reason: unknown) => {
      throw toPeerloomError(reason, "aborted", "Given up on request.");
    },
  );
  try {
    return await Promise.race([promise, ended]);
  } finally {
    over.abort();
  }
}
