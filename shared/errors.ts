/**
 * The one error class, and every code there is. A code is stable and belongs to one layer; a message says what to do.
 * Codes travel on the wire, so an unknown one from a newer peer is kept as text, never trusted to mean anything.
 */

/** Every code that peerloom raises, `layer/what-happened`. */
export const ERROR_CODES = [
  "wire/malformed",
  "wire/too-large",
  "wire/version",
  "id/invalid",
  "identity/unreadable",
  "identity/bad-signature",
  "network/invalid-name",
  "network/not-member",
  "network/invite-invalid",
  "network/invite-used",
  "network/expired",
  "network/banned",
  "network/not-allowed",
  "network/relay-quota",
  "network/not-owner",
  "network/too-many-bans",
  "network/too-many-invites",
  "link/closed",
  "link/failed",
  "link/frame-too-large",
  "link/timeout",
  "link/unavailable",
  "link/too-many",
  "session/handshake-failed",
  "session/unknown",
  "session/replaced",
  "session/lost",
  "session/closed",
  "session/over-credit",
  "session/too-many-streams",
  "session/protocol-violation",
  "stream/reset",
  "stream/no-handler",
  "stream/refused",
  "stream/cancelled",
  "connect/no-path",
  "connect/refused",
  "connect/timeout",
  "connect/self",
  "peer/closed",
  "peer/not-found",
  "signal/stale",
  "signal/replayed",
  "signal/forged",
  "edge/unreachable",
  "edge/rate-limited",
  "edge/too-many-sockets",
  "edge/challenge-failed",
  "edge/not-member",
  "edge/ticket-invalid",
  "edge/ticket-expired",
  "edge/relay-unavailable",
  "edge/relay-over-credit",
  "edge/over-capacity",
  "edge/over-budget",
  "edge/relay-off",
  "edge/banned",
  "edge/not-admin",
  "edge/replaced",
  "edge/tools-missing",
  "peerjs/id-invalid",
  "peerjs/id-taken",
  "peerjs/key-invalid",
  "peerjs/value-invalid",
  "peerjs/too-large",
  "peerjs/unread",
  "files/ticket-invalid",
  "files/not-found",
  "files/exists",
  "files/locked",
  "files/unwritable",
  "files/disk-full",
  "files/path-escape",
  "files/corrupt",
  "files/no-source",
  "files/changed",
  "files/different",
  "files/busy",
  "files/protocol",
  "records/too-large",
  "records/key-invalid",
  "records/stale",
  "records/not-stored",
  "records/not-found",
  "records/unavailable",
  "records/busy",
  "feeds/not-found",
  "feeds/not-writer",
  "feeds/too-large",
  "feeds/full",
  "feeds/forked",
  "feeds/refused",
  "feeds/behind",
  "feeds/corrupt",
  "feeds/protocol",
  "feeds/closed",
  "compute/unavailable",
  "compute/module-invalid",
  "compute/module-refused",
  "compute/memory-limit",
  "compute/time-limit",
  "compute/too-large",
  "compute/trap",
  "compute/stack-limit",
  "compute/refused",
  "compute/busy",
  "compute/protocol",
  "compute/no-workers",
  "compute/no-agreement",
  "rpc/not-served",
  "rpc/unknown-method",
  "rpc/timeout",
  "rpc/busy",
  "rpc/too-large",
  "rpc/invalid-value",
  "rpc/interrupted",
  "rpc/failed",
  "rpc/protocol",
  "ports/not-exposed",
  "ports/refused",
  "ports/unavailable",
  "ports/busy",
  "topics/too-large",
  "topics/refused",
  "topics/protocol",
  "topics/closed",
  "search/unavailable",
  "search/protocol",
  "search/forged",
  "search/stale",
  "search/over-quota",
  "data/locked",
  "data/not-running",
  "data/unwritable",
  "usage/invalid",
  "page/insecure",
  "page/outdated",
  "aborted",
  "simulation/stuck",
  "internal/assertion",
] as const;

/** A stable error code. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/**
 * The only error class that peerloom throws.
 * @example
 * try { await peer.connect(id); } catch (error) {
 *   if (error instanceof PeerloomError && error.code === "connect/no-path") offerRelay();
 * }
 */
export class PeerloomError extends Error {
  override readonly name = "PeerloomError";
  /** Stable, to branch on. */
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

const KNOWN_CODES: ReadonlySet<string> = new Set(ERROR_CODES);

/** A code read from the wire; an unknown one becomes `fallback`. */
export function parseErrorCode(text: string, fallback: ErrorCode): ErrorCode {
  return KNOWN_CODES.has(text) ? (text as ErrorCode) : fallback;
}

/** The error itself when it already is ours, else ours around it. */
export function toPeerloomError(error: unknown, code: ErrorCode, message: string): PeerloomError {
  return error instanceof PeerloomError ? error : new PeerloomError(code, message, { cause: error });
}

/** What a stranger's bytes are, or undefined when a decoder refuses them. What is no refusal is thrown on. */
export function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof PeerloomError) return undefined;
    throw error;
  }
}

/** Stops the operation loudly when our own reasoning was wrong; never for a stranger's mistake. */
export function assert(condition: boolean, claim: string): asserts condition {
  if (!condition)
    throw new PeerloomError("internal/assertion", `Broken invariant: ${claim}. Please report this.`);
}
