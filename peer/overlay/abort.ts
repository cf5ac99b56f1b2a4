/** An AbortSignal's reason can be anything; what peerloom throws is a PeerloomError. */
import { type PeerloomError, toPeerloomError } from "../../shared/errors.ts";

/** The reason itself when it is ours, else `aborted` around it. */
export function abortError(signal: AbortSignal): PeerloomError {
  return toPeerloomError(signal.reason, "aborted", "Given up on request.");
}
