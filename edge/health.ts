/**
 * `/health` vouches for what peers need: it asks an object of every kind, and the storage of those that have any, each with a
 * deadline. The objects asked are of its own, so that no network is woken. An isolate asks once in ten seconds at most, however often
 * it is asked itself.
 */
import { WIRE_VERSION, WIRE_VERSION_OLDEST } from "../shared/limits.ts";
import { askLedger, countCalls, countServed } from "./door.ts";
import type { Env } from "./env.ts";
import { log } from "./log.ts";

/** No network, key or channel has this name. */
const PROBE_NAME = "~health";
/** A healthy object answers in milliseconds, a new one in tens. */
export const PROBE_TIMEOUT_MS = 2_000;
const KEEP_MS = 10_000;
/** All but tally and ledger, which book them. */
const UNACCOUNTED_PROBES = 5;

export interface Health {
  readonly ok: boolean;
  readonly status: "ok" | "degraded";
  readonly service: "peerloom-edge";
  readonly wireVersion: number;
  readonly wireVersionOldest: number;
  /** `ok`, `late` (no answer within `PROBE_TIMEOUT_MS`) or `failed`, by part. */
  readonly parts: Readonly<Record<string, "ok" | "late" | "failed">>;
}

type Probe = () => Promise<unknown>;

let kept: { readonly health: Promise<Health>; readonly atMs: number } | undefined;
let wasOk = true;

export function health(env: Env, nowMs: number): Promise<Health> {
  countServed();
  if (kept === undefined || nowMs - kept.atMs >= KEEP_MS) {
    countCalls(UNACCOUNTED_PROBES);
    kept = { health: examine(probesOf(env)), atMs: nowMs };
  }
  return kept.health;
}

/** Never fails: what fails is in the answer. */
export async function examine(
  probes: Readonly<Record<string, Probe>>,
  timeoutMs: number = PROBE_TIMEOUT_MS,
): Promise<Health> {
  const results = await Promise.all(
    Object.entries(probes).map(async ([part, probe]) => [part, await outcome(probe, timeoutMs)] as const),
  );
  const failing = results.filter(([, result]) => result !== "ok").map(([part]) => part);
  const ok = failing.length === 0;
  if (ok !== wasOk) log({ event: "health", ok, failing });
  wasOk = ok;
  return {
    ok,
    status: ok ? "ok" : "degraded",
    service: "peerloom-edge",
    wireVersion: WIRE_VERSION,
    wireVersionOldest: WIRE_VERSION_OLDEST,
    parts: Object.fromEntries(results),
  };
}

async function outcome(probe: Probe, timeoutMs: number): Promise<"ok" | "late" | "failed"> {
  const late = Promise.withResolvers<"late">();
  AbortSignal.timeout(timeoutMs).addEventListener("abort", () => late.resolve("late"), { once: true });
  try {
    return await Promise.race([probe().then(() => "ok" as const), late.promise]);
  } catch {
    return "failed";
  }
}

function probesOf(env: Env): Readonly<Record<string, Probe>> {
  return {
    rendezvous: async () => env.RENDEZVOUS.getByName(PROBE_NAME).drainCounters(),
    relay: async () => env.RELAY.getByName(PROBE_NAME).drainCounters(),
    peerjs: async () => env.PEERJS.getByName(PROBE_NAME).drainCounters(),
    search: async () => env.SEARCH.getByName(PROBE_NAME).drainCounters(),
    keys: async () => env.KEYS.getByName("edge").secret(),
    tally: async () => env.TALLY.getByName("edge").isWell(),
    ledger: async () => askLedger(env),
  };
}
