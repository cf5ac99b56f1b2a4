/**
 * What the edge counts, and how it is told to Prometheus. Objects count in memory and report to the tally when something else has
 * woken them anyway: at their first event, then at most once in ten seconds, and when their last socket closes. An object that
 * falls asleep in between forgets the rest, so the figures are a floor. Counting itself costs an addition.
 */
import type { ErrorCode } from "../shared/errors.ts";
import type { Env } from "./env.ts";

export type CounterName =
  | "joins"
  | "signals"
  | "finds"
  | "relay_channels"
  | "relay_frames"
  | "relay_bytes"
  | "peerjs_opens"
  | "peerjs_messages"
  | "peerjs_queued"
  | "peerjs_expired"
  | "searches"
  | "announcements"
  | `errors:${ErrorCode}`;

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
  #counts: Record<string, number> = {};
  #reportedMs = Number.NEGATIVE_INFINITY;

  add(name: CounterName, count = 1): void {
    this.#counts[name] = (this.#counts[name] ?? 0) + count;
  }

  /** True at the first event after waking, and when the last report is old enough. */
  isDue(nowMs: number): boolean {
    return nowMs - this.#reportedMs >= REPORT_EVERY_MS;
  }

  /** Hands over what was counted; the next report begins at zero. */
  drain(nowMs: number): Counts {
    const counts = this.#counts;
    this.#counts = {};
    this.#reportedMs = nowMs;
    return counts;
  }
}

/** Sends a report without waiting. Losing one loses figures, nothing else. */
export function sendReport(ctx: DurableObjectState, env: Env, from: ReporterName, report: Report): void {
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

const HELP: Readonly<Record<string, string>> = {
  joins: "Peers that proved their key and joined a network.",
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
};

/**
 * Prometheus text.
 * @param refused refusals of this Worker isolate alone, by code: telling an object of each would let an attacker spend money
 */
export function prometheusText({ counts, sockets, members }: Totals, refused: Counts): string {
  const lines: string[] = [];
  for (const [name, help] of Object.entries(HELP)) {
    const metric = `peerloom_${name}_total`;
    lines.push(`# HELP ${metric} ${help}`, `# TYPE ${metric} counter`, `${metric} ${counts[name] ?? 0}`);
  }
  const errors = Object.entries(counts).filter(([name]) => name.startsWith("errors:"));
  lines.push(
    ...labelled(
      "peerloom_errors_total",
      "counter",
      "Sockets and messages refused by objects.",
      "code",
      errors,
    ),
  );
  lines.push(
    ...labelled(
      "peerloom_refused_total",
      "counter",
      "Requests refused by this isolate.",
      "code",
      Object.entries(refused),
    ),
  );
  lines.push(
    ...labelled("peerloom_open_sockets", "gauge", "Open WebSockets.", "object", Object.entries(sockets)),
  );
  lines.push(
    "# HELP peerloom_members Peers joined now.",
    "# TYPE peerloom_members gauge",
    `peerloom_members ${members}`,
  );
  return `${lines.join("\n")}\n`;
}

function labelled(
  metric: string,
  type: "counter" | "gauge",
  help: string,
  label: string,
  values: readonly (readonly [string, number])[],
): string[] {
  const samples = values.map(
    ([name, value]) => `${metric}{${label}="${name.replace(/^errors:/, "")}"} ${value}`,
  );
  return [`# HELP ${metric} ${help}`, `# TYPE ${metric} ${type}`, ...samples];
}
