/** The answer of `GET /v1/cost`: what an edge has spent today, network by network. */
import { dollarsOf, NO_USAGE, type Stage, STAGES, unitsOf, type Usage, USAGE_KINDS } from "./budget.ts";
import { PeerloomError } from "./errors.ts";

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

/** What the requests that were refused at the door cost, beside the budget. */
export function dollarsRefused({ refused }: EdgeCost): number {
  return dollarsOf(unitsOf({ ...NO_USAGE, requests: refused }));
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
    USAGE_KINDS.every((kind) => typeof value.usage[kind] === "number") &&
    [value.units, value.limit, value.unaccounted, value.sockets, value.members].every(
      (n) => typeof n === "number",
    )
  );
}
