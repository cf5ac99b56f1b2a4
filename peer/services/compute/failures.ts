/** Why a computation ended without all its results, and what to do about it. */
import { type ErrorCode, PeerloomError } from "../../../shared/errors.ts";

const REASONS: Readonly<Record<string, string>> = {
  "compute/trap": "the module trapped on it",
  "compute/memory-limit": "the module used all its memory; allow more with memoryPages",
  "compute/stack-limit": "the module calls itself too deep for those who tried; have it loop instead",
  "compute/time-limit": "the module took too long; allow more with taskMs, if the workers do",
  "compute/too-large": "the module gave too much output; 4 MiB are the most",
  "compute/module-invalid": "the module cannot be compiled",
  "compute/unavailable": "the worker could not run it",
};

export function taskFailed(index: number, code: ErrorCode): PeerloomError {
  return new PeerloomError(code, `Input ${index} failed: ${REASONS[code] ?? `the worker said ${code}`}.`);
}

export function workersDisagree(index: number): PeerloomError {
  return new PeerloomError(
    "compute/no-agreement",
    `Workers disagree on input ${index}: too many of them lie, or the module does not give the same twice.`,
  );
}

/** @param refusal what one said that did not want to work */
export function standstill(
  workers: number,
  agree: number,
  refusal: PeerloomError | undefined,
): PeerloomError {
  if (workers >= agree) {
    return new PeerloomError(
      "compute/no-agreement",
      "Those who work disagree on what is left, and no others are there. Have more peers work: peerloom work",
    );
  }
  const said = refusal === undefined ? "" : ` One refused: ${refusal.message}`;
  return new PeerloomError(
    "compute/no-workers",
    `${agree} working peers are needed and ${workers} found. Run in this network: peerloom work.${said}`,
    { cause: refusal },
  );
}
