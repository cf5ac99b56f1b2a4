/**
 * Errors as HTTP answers: `{ code, message }` with the status that belongs to the code. Everything the edge refuses before a
 * socket is open is told this way; afterwards the socket itself says it.
 */
import type { ErrorCode } from "../shared/errors.ts";

/** CORS for everything that is read over HTTP: the edge keeps no cookies, so any page may ask. */
export const CORS_HEADERS: Readonly<Record<string, string>> = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "GET, HEAD, OPTIONS",
  "access-control-allow-headers": "*",
  "access-control-max-age": "86400",
};

const STATUS_BY_CODE: Partial<Record<ErrorCode, number>> = {
  "edge/ticket-invalid": 403,
  "edge/ticket-expired": 403,
  "edge/rate-limited": 429,
  "edge/too-many-sockets": 429,
  "edge/over-capacity": 503,
  "edge/over-budget": 503,
  "edge/relay-off": 503,
  "edge/banned": 429,
  "edge/not-admin": 401,
  "network/not-member": 403,
  "network/expired": 403,
  "network/banned": 403,
  "network/not-allowed": 403,
  "network/relay-quota": 429,
  "network/not-owner": 403,
  "search/forged": 403,
  "search/stale": 409,
  "search/over-quota": 503,
  "internal/assertion": 500,
};

/** Seconds after which a refused peer may try again; the limiter counts by the minute. */
const RETRY_AFTER_SECONDS = 60;

/**
 * @param status where the code alone does not tell, e.g. 404
 * @param retryAfterSeconds of a refusal that ends by itself
 */
export function errorResponse(
  code: ErrorCode,
  message: string,
  status: number = STATUS_BY_CODE[code] ?? 400,
  retryAfterSeconds: number = RETRY_AFTER_SECONDS,
): Response {
  const retry = status === 429 || status === 503 ? { "retry-after": String(retryAfterSeconds) } : {};
  return Response.json(
    { code, message },
    { status, headers: { ...CORS_HEADERS, ...retry, "cache-control": "no-store" } },
  );
}
