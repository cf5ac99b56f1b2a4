/**
 * What an edge costs, in one unit, and what it stops doing when a day's units are spent. Edge, command line and page count alike.
 *
 * One unit is the price of one request to a Durable Object, $0.15 per million (Cloudflare's list prices of November 2026, paid plan, free
 * allowances not deducted). Everything else is so many units, so units and money are the same figure.
 */
import { PeerloomError } from "./errors.ts";

/** How far an edge has withdrawn, from nothing to all. WIRE.md numbers them in this order. */
export const STAGES = ["open", "relay-slow", "relay-off", "members", "closed"] as const;
export type Stage = (typeof STAGES)[number];

/** True when `stage` is `from` or beyond it. */
export function isAtLeast(stage: Stage, from: Stage): boolean {
  return STAGES.indexOf(stage) >= STAGES.indexOf(from);
}

/** What was used; each is billed for itself. */
export interface Usage {
  /** Requests to the Worker, upgrades among them. */
  readonly requests: number;
  /** Requests to objects: upgrades, calls and alarms. */
  readonly objectRequests: number;
  /** Messages that came in on WebSockets; twenty are billed as one request to an object. */
  readonly messages: number;
  /** ms for which objects were at work. Estimated: inside a Worker the clock stands still while it computes. */
  readonly awakeMs: number;
  readonly rowsWritten: number;
  readonly rowsRead: number;
  /** Free; told because it is what the operator wonders about. */
  readonly relayedBytes: number;
}

export const NO_USAGE: Usage = {
  requests: 0,
  objectRequests: 0,
  messages: 0,
  awakeMs: 0,
  rowsWritten: 0,
  rowsRead: 0,
  relayedBytes: 0,
};

const DOLLARS_PER_UNIT = 0.15e-6;
/** $0.30 a million, $0.15, $0.15 / 20, $12.50 per million GB-s of 0.128 GB, $1.00, $0.001. */
const UNITS_EACH: Usage = {
  requests: 0.3 / 0.15,
  objectRequests: 1,
  messages: 1 / 20,
  awakeMs: (12.5 * 0.128) / 0.15 / 1_000,
  rowsWritten: 1 / 0.15,
  rowsRead: 0.001 / 0.15,
  relayedBytes: 0,
};
const KINDS = Object.keys(NO_USAGE) as readonly (keyof Usage)[];

export function unitsOf(usage: Usage): number {
  return KINDS.reduce((units, kind) => units + usage[kind] * UNITS_EACH[kind], 0);
}

export function dollarsOf(units: number): number {
  return units * DOLLARS_PER_UNIT;
}

export function addUsage(a: Usage, b: Partial<Usage>): Usage {
  const sum: Record<keyof Usage, number> = { ...a };
  for (const kind of KINDS) sum[kind] += b[kind] ?? 0;
  return sum;
}

/** One network's day. */
export interface NetworkCost {
  readonly network: string;
  readonly stage: Stage;
  readonly units: number;
  readonly limit: number;
  /** Units granted to objects that slept before they accounted for them: taken as spent, though they may not be. */
  readonly unaccounted: number;
  readonly usage: Usage;
  readonly sockets: number;
  readonly members: number;
}

/** The answer of `GET /v1/cost`. */
export interface EdgeCost {
  /** UTC, `2026-11-28`. */
  readonly day: string;
  readonly stage: Stage;
  readonly units: number;
  readonly limit: number;
  readonly dollars: number;
  /** Requests that the Worker refused by itself: $0.30 per million, and beside the budget, because nothing here can prevent them. */
  readonly refused: number;
  /** ms until the next day begins. */
  readonly leftMs: number;
  readonly networks: readonly NetworkCost[];
}

/** @throws PeerloomError `wire/malformed` when it is not the answer of an edge */
export function parseEdgeCost(value: unknown): EdgeCost {
  const cost = value as EdgeCost;
  const isCost =
    typeof value === "object" &&
    value !== null &&
    typeof cost.day === "string" &&
    STAGES.includes(cost.stage) &&
    [cost.units, cost.limit, cost.dollars, cost.refused, cost.leftMs].every((n) => typeof n === "number") &&
    Array.isArray(cost.networks) &&
    cost.networks.every(isNetworkCost);
  if (!isCost)
    throw new PeerloomError("wire/malformed", "That is not an edge's account. Is it an older edge?");
  return cost;
}

function isNetworkCost(value: NetworkCost | null): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof value.network === "string" &&
    STAGES.includes(value.stage) &&
    typeof value.usage === "object" &&
    value.usage !== null &&
    KINDS.every((kind) => typeof value.usage[kind] === "number") &&
    [value.units, value.limit, value.unaccounted, value.sockets, value.members].every(
      (n) => typeof n === "number",
    )
  );
}
