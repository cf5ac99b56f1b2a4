/**
 * What the edge writes to its log: one JSON object a line, `event` first. Fields are numbers, codes and names of our own only. Nothing
 * that a stranger sent, no id, address, network name or error text goes in: any of them may hold what must not be kept.
 */
import type { ErrorCode } from "../shared/errors.ts";
import type { Counts, ReporterName } from "./metrics.ts";

export type LogEvent =
  /** A defect of ours: the kind of the error, and the function it came from. */
  | { readonly event: "failed"; readonly error: string; readonly at: string }
  /** What the Worker refused in this isolate since the last such line. */
  | { readonly event: "refused"; readonly counts: Counts }
  /** What an object counted since its last report, and what it holds. */
  | {
      readonly event: "report";
      readonly object: ReporterName["kind"];
      readonly sockets: number;
      readonly members: number;
      readonly counts: Counts;
    }
  /** Parts that did not answer in time, or again do. */
  | { readonly event: "health"; readonly ok: boolean; readonly failing: readonly string[] };

/** Refusals are told at most so often an isolate, so that a flood of them does not become a flood of lines. */
const REFUSED_EVERY_MS = 10_000;

export function log(event: LogEvent): void {
  const line = JSON.stringify(event);
  if (event.event === "failed" || (event.event === "health" && !event.ok)) console.error(line);
  else console.log(line);
}

/** A failure that nobody expected. Its message stays out: it may quote what a stranger sent. */
export function logFailure(error: unknown): void {
  const at =
    error instanceof Error ? (/\n\s+at (?:async )?([\w.$#<>]+)/.exec(error.stack ?? "")?.[1] ?? "") : "";
  log({ event: "failed", error: error instanceof Error ? error.name : typeof error, at });
}

const refusedSince: Record<string, number> = {};
let refusedToldMs = Number.NEGATIVE_INFINITY;

export function logRefusal(code: ErrorCode, nowMs: number): void {
  refusedSince[code] = (refusedSince[code] ?? 0) + 1;
  if (nowMs - refusedToldMs < REFUSED_EVERY_MS) return;
  refusedToldMs = nowMs;
  log({ event: "refused", counts: { ...refusedSince } });
  for (const told of Object.keys(refusedSince)) delete refusedSince[told];
}
