/** What the Worker refuses before any object is touched, counted by code for as long as this isolate lives. */
import type { ErrorCode } from "../shared/errors.ts";
import { errorResponse } from "./http-errors.ts";
import type { Counts } from "./metrics.ts";

const counted: Record<string, number> = {};

export function refusals(): Counts {
  return counted;
}

/** Refusals since they were last taken, for the ledger. */
let untold = 0;

export function takeUntold(): number {
  const count = untold;
  untold = 0;
  return count;
}

export function countRefusal(code: ErrorCode): void {
  untold += 1;
  counted[code] = (counted[code] ?? 0) + 1;
}

/** A refusal that ends by itself. */
export function refuseUntil(code: ErrorCode, message: string, leftMs: number): Response {
  countRefusal(code);
  return errorResponse(code, message, undefined, Math.ceil(leftMs / 1_000));
}

/** An error answer, counted. */
export function refuse(code: ErrorCode, message: string, status?: number): Response {
  countRefusal(code);
  return errorResponse(code, message, status);
}

export function isUpgrade(request: Request): boolean {
  return request.headers.get("upgrade")?.toLowerCase() === "websocket";
}
