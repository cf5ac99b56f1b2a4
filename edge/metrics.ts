/**
 * What the edge counts, and how it is told to Prometheus. Objects count in memory and report to the tally when something else has
 * woken them anyway: at their first event, then at most once in ten seconds, and when their last socket closes. An object that
 * falls asleep in between forgets the rest, so the figures are a floor. Counting itself costs an addition.
 */
import { STAGES } from "../shared/budget.ts";
import type { ErrorCode } from "../shared/errors.ts";
import { WIRE_VERSION, WIRE_VERSION_OLDEST } from "../shared/limits.ts";
import type { Spending } from "./door.ts";
import type { Env } from "./env.ts";
import { log } from "./log.ts";

/** Everything that objects count, by the middle of its name: `peerloom_NAME_total`. */
const COUNTERS = {
  wakes: "Objects started or woken.",
  joins: "Peers that proved their key and joined a network.",
  joins_before: "Of the joins, those in the wire version before the newest.",
  signals: "Sealed signals passed between members.",
  finds: "Members asked for by id.",
  relay_channels: "Relay channels on which both sides met.",
  relay_frames: "Sealed frames passed by relay channels.",
  relay_bytes: "Bytes of sealed frames passed by relay channels.",
  peerjs_opens: "PeerJS clients that were given their id.",
  peerjs_messages: "PeerJS messages passed to a client.",
  peerjs_queued: "PeerJS messages kept for a client that was not there.",
  peerjs_expired: "PeerJS messages that came to nothing and whose sender was told.",
  searches: "Questions to search indexes.",
  announcements: "Announcements of listings that search indexes took.",
} as const;

/** The other series. infra/OPERATING.md has a row for each of all; a test compares. */
const OTHERS = {
  peerloom_errors_total: { type: "counter", label: "code", help: "Sockets and messages refused by objects." },
  peerloom_refused_total: { type: "counter", label: "code", help: "Requests refused by this isolate." },
  peerloom_open_sockets: { type: "gauge", label: "object", help: "Open WebSockets." },
  peerloom_members: { type: "gauge", label: undefined, help: "Peers joined now." },
  peerloom_budget_units: {
    type: "gauge",
    label: undefined,
    help: "Units spent and lent since midnight UTC.",
  },
  peerloom_budget_limit_units: { type: "gauge", label: undefined, help: "Units that a day may cost." },
  peerloom_budget_stage: {
    type: "gauge",
    label: undefined,
    help: "How far the edge has withdrawn: 0 open, 1 relay slow, 2 relay off, 3 members only, 4 closed.",
  },
  peerloom_banned_prefixes: {
    type: "gauge",
    label: undefined,
    help: "Address prefixes that this isolate keeps out.",
  },
  peerloom_wire_version: {
    type: "gauge",
    label: "end",
    help: "Wire versions spoken, the oldest and the newest.",
  },
} as const;

export type CounterName = keyof typeof COUNTERS | `errors:${ErrorCode}`;

/** Counts since the last report. */
export type Counts = Readonly<Record<string, number>>;

/** Which object reports. */
export interface ReporterName {
  readonly kind: "rendezvous" | "relay" | "peerjs" | "search";
  /** The object's name in its namespace. */
  readonly name: string;
}

export interface Report {
  readonly counts: Counts;
  /** Sockets open now. */
  readonly sockets: number;
  /** Members joined now. */
  readonly members: number;
}

export const REPORT_EVERY_MS = 10_000;

/** What one object has counted and not yet reported. */
export class Counters {
  /** An object makes its counters when it starts or wakes, so the first thing they count is that. */
  #counts: Record<string, number> = { wakes: 1 };
  #reportedMs = Number.NEGATIVE_INFINITY;

  add(name: CounterName, count = 1): void {
    this.#counts[name] = (this.#counts[name] ?? 0) + count;
  }

  /** True at the first event after waking, and when the last report is old enough. What is drained on being asked is no report. */
  takeTurn(nowMs: number): boolean {
    if (nowMs - this.#reportedMs < REPORT_EVERY_MS) return false;
    this.#reportedMs = nowMs;
    return true;
  }

  /** Hands over what was counted; the next report begins at zero. */
  drain(): Counts {
    const counts = this.#counts;
    this.#counts = {};
    return counts;
  }
}

/** Sends a report without waiting. Losing one loses figures, nothing else. */
export function sendReport(ctx: DurableObjectState, env: Env, from: ReporterName, report: Report): void {
  const { sockets, members, counts } = report;
  if (Object.keys(counts).length > 0) log({ event: "report", object: from.kind, sockets, members, counts });
  ctx.waitUntil(deliver(env, from, report));
}

async function deliver(env: Env, from: ReporterName, report: Report): Promise<void> {
  try {
    await env.TALLY.getByName("edge").report(from, report);
  } catch {
    // Overloaded or restarting.
  }
}

/** Everything known, ready to be shown. */
export interface Totals {
  readonly counts: Counts;
  readonly sockets: Readonly<Record<string, number>>;
  readonly members: number;
}

/** What the Worker's isolate that answers knows by itself. */
export interface IsolateFacts {
  /** Refusals by code: telling an object of each would let an attacker spend money. */
  readonly refused: Counts;
  readonly bannedPrefixes: number;
  readonly spending: Spending | undefined;
}

/** Prometheus text. */
export function prometheusText({ counts, sockets, members }: Totals, facts: IsolateFacts): string {
  const { refused, bannedPrefixes, spending } = facts;
  const lines: string[] = [];
  for (const [name, help] of Object.entries(COUNTERS))
    lines.push(...series(`peerloom_${name}_total`, "counter", help, [["", counts[name] ?? 0]]));
  const errors = Object.entries(counts)
    .filter(([name]) => name.startsWith("errors:"))
    .map(([name, count]) => [name.slice("errors:".length), count] as const);
  const samples: Readonly<Record<keyof typeof OTHERS, Samples>> = {
    peerloom_errors_total: errors,
    peerloom_refused_total: Object.entries(refused),
    peerloom_open_sockets: Object.entries(sockets),
    peerloom_members: [["", members]],
    peerloom_budget_units: spending === undefined ? [] : [["", Math.round(spending.units)]],
    peerloom_budget_limit_units: spending === undefined ? [] : [["", spending.limit]],
    peerloom_budget_stage: spending === undefined ? [] : [["", STAGES.indexOf(spending.stage)]],
    peerloom_banned_prefixes: [["", bannedPrefixes]],
    peerloom_wire_version: [
      ["oldest", WIRE_VERSION_OLDEST],
      ["newest", WIRE_VERSION],
    ],
  };
  for (const [name, { type, label, help }] of Object.entries(OTHERS))
    lines.push(...series(name, type, help, samples[name as keyof typeof OTHERS], label));
  return `${lines.join("\n")}\n`;
}

/** Values by the label's value; one of a series without a label has "". */
type Samples = readonly (readonly [string, number])[];

function series(
  name: string,
  type: "counter" | "gauge",
  help: string,
  samples: Samples,
  label?: string,
): string[] {
  const lines = samples.map(([value, count]) =>
    label === undefined ? `${name} ${count}` : `${name}{${label}="${value}"} ${count}`,
  );
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines];
}
