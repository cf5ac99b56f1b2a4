import { PeerloomError } from "../../../shared/errors.ts";

/** What went wrong, for people. */
export function messageOf(error: unknown): string {
  if (error instanceof PeerloomError) return `${error.message} (${error.code})`;
  return error instanceof Error ? error.message : String(error);
}
