/** What the Worker refuses before any object is touched, counted by code for as long as this isolate lives. */
import type { ErrorCode } from "../shared/errors.ts";
import { errorResponse } from "./http-errors.ts";
import { logRefusal } from "./log.ts";
import type { Counts } from "./metrics.ts";

const counted: Record<string, number> = {};

export function refusals(): Counts {
  return counted;
}

export function countRefusal(code: ErrorCode): void {
  counted[code] = (counted[code] ?? 0) + 1;
  logRefusal(code, Date.now());
}

/** An error answer, counted. */
export function refuse(code: ErrorCode, message: string, status?: number): Response {
  countRefusal(code);
  return errorResponse(code, message, status);
}

export function isUpgrade(request: Request): boolean {
  return request.headers.get("upgrade")?.toLowerCase() === "websocket";
}
