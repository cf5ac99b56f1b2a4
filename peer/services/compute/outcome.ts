/** How a task ended at one worker: with bytes, or with the code of an error. */
import type { ErrorCode } from "../../../shared/errors.ts";

export type Outcome =
  | { readonly kind: "value"; readonly value: Uint8Array }
  | { readonly kind: "failure"; readonly code: ErrorCode };

/** Codes that follow from module and input alone, so that honest workers agree on them. Any other is the worker's own trouble. */
const OF_THE_TASK: ReadonlySet<ErrorCode> = new Set([
  "compute/trap",
  "compute/memory-limit",
  "compute/too-large",
  "compute/module-invalid",
]);

/** Whether an honest worker could not have said otherwise. */
export function isDecided(outcome: Outcome): boolean {
  return outcome.kind === "value" || OF_THE_TASK.has(outcome.code);
}
