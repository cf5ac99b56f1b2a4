/**
 * What an edge costs, in one unit, and what it stops doing when a day's units are spent. Edge, command line and page count alike.
 *
 * One unit is the price of one request to a Durable Object, $0.15 per million (Cloudflare's list prices of November 2026, paid plan, free
 * allowances not deducted). Everything else is so many units, so units and money are the same figure.
 */
/** How far an edge has withdrawn, from nothing to all. WIRE.md numbers them in this order. */
export const STAGES = ["open", "relay-slow", "relay-off", "members", "closed"] as const;
export type Stage = (typeof STAGES)[number];

/** From which part of a day's limit on. Closed short of all of it: what is on its way when it closes must fit too. */
export const STAGE_FROM: readonly (readonly [Stage, number])[] = [
  ["closed", 0.99],
  ["members", 0.9],
  ["relay-off", 0.75],
  ["relay-slow", 0.6],
];

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
/** What is counted. */
export const USAGE_KINDS: readonly (keyof Usage)[] = Object.keys(NO_USAGE) as (keyof Usage)[];

export function unitsOf(usage: Usage): number {
  return USAGE_KINDS.reduce((units, kind) => units + usage[kind] * UNITS_EACH[kind], 0);
}

export function dollarsOf(units: number): number {
  return units * DOLLARS_PER_UNIT;
}

export function addUsage(a: Usage, b: Partial<Usage>): Usage {
  const sum: Record<keyof Usage, number> = { ...a };
  for (const kind of USAGE_KINDS) sum[kind] += b[kind] ?? 0;
  return sum;
}
