/** What the Worker refuses before any object is touched, counted by code for as long as this isolate lives. */
import type { ErrorCode } from "../shared/errors.ts";
import { encodeFromRendezvous } from "../shared/messages.ts";
import { errorResponse } from "./http-errors.ts";
import { logRefusal } from "./log.ts";
import type { Counts } from "./metrics.ts";

const CLOSE_POLICY = 1008;

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
  logRefusal(code, Date.now());
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

/**
 * The same to who opens a WebSocket and should learn why: browsers cannot read an HTTP refusal. The Worker says it itself, so it costs no
 * object.
 * @param message of a rendezvous; a relay channel's peers are told by the close alone
 */
export function refuseSocket(code: ErrorCode, message?: string): Response {
  countRefusal(code);
  const { 0: client, 1: socket } = new WebSocketPair();
  socket.accept();
  if (message !== undefined) socket.send(encodeFromRendezvous({ kind: "error", request: 0, code, message }));
  socket.close(CLOSE_POLICY, code);
  return new Response(null, { status: 101, webSocket: client });
}

export function isUpgrade(request: Request): boolean {
  return request.headers.get("upgrade")?.toLowerCase() === "websocket";
}
