/**
 * Errors across a call: a code and a message travel, a stack never does. What has no code of its own is the other
 * side's mistake and says nothing but that: its message may name files or secrets.
 */
import { parseErrorCode, PeerloomError } from "../../../shared/errors.ts";

export const CODE_CHARACTERS_MAX = 64;
/** UTF-16 units; the rest of a longer message is cut. */
export const MESSAGE_CHARACTERS_MAX = 1_000;

/** An error as it travels. */
export interface Failure {
  readonly code: string;
  readonly message: string;
}

/**
 * What the other side's method threw, with the application's own code.
 * @example
 * try { await bank.withdraw(100); } catch (error) {
 *   if (error instanceof RemoteError && error.code === "bank/overdrawn") …
 * }
 */
export class RemoteError extends Error {
  override readonly name = "RemoteError";
  readonly code: string;

  constructor({ code, message }: Failure) {
    super(message);
    this.code = code;
  }
}

/** Any text is taken for a code that is short and printable. */
export function isCode(text: unknown): text is string {
  return typeof text === "string" && text.length <= CODE_CHARACTERS_MAX && /^[\u{21}-\u{7e}]+$/u.test(text);
}

/** Undefined for an error without a code, which nobody else is to see. */
export function failureOf(error: unknown): Failure | undefined {
  if (!(error instanceof Error) || !("code" in error) || !isCode(error.code)) return undefined;
  // What the host says of its files and sockets names them.
  if ("syscall" in error) return undefined;
  return { code: error.code, message: error.message.slice(0, MESSAGE_CHARACTERS_MAX).toWellFormed() };
}

/** Codes of ours come as what they are, all others as the application's. */
export function errorOf(failure: Failure): PeerloomError | RemoteError {
  const code = parseErrorCode(failure.code, "internal/assertion");
  return code === failure.code ? new PeerloomError(code, failure.message) : new RemoteError(failure);
}
