/**
 * What one Worker isolate knows and refuses by: the stage of the budget, and who is banned. Nothing of it costs an object a request while it
 * refuses. The stage is asked for at most once in `STAGE_REFRESH_MS`, not at all once the edge is closed, and an object that refuses
 * says so in its answer, so that an isolate sends at most one request more (and what was under way) to a closed edge.
 *
 * All of it is memory of this isolate: it begins anew with the next, which learns of the stage by its first question, and of a ban by one
 * refusal of an object. The limiter's counts are kept by Cloudflare for each location and outlive both.
 */
import { isAtLeast, type Stage } from "../shared/budget.ts";
import { encodeFromRendezvous } from "../shared/messages.ts";
import { AddressBans } from "./address-bans.ts";
import type { Env } from "./env.ts";
import { errorResponse } from "./http-errors.ts";
import { countRefusal, takeUntold } from "./refusals.ts";

/** At most 8,640 requests to the ledger a day and isolate, a tenth of a cent. */
const STAGE_REFRESH_MS = 10_000;
/** Networks whose stage is known beside that of all; past that the one learnt first is forgotten. */
const NETWORKS_MAX = 1_024;
/** How an object tells the Worker that its network is closed: `closed;MS`. */
export const STAGE_HEADER = "x-peerloom-stage";
/** How an object tells the Worker of a ban: ms. */
export const BAN_HEADER = "x-peerloom-ban";
const CLOSE_TRY_LATER = 1013;

/** The day's account as an isolate knows it. */
export interface Spending {
  readonly stage: Stage;
  readonly units: number;
  readonly limit: number;
}

export const bans: AddressBans = new AddressBans();

let all: Stage = "open";
let spending: Omit<Spending, "stage"> | undefined;
let untilMs = 0;
let askedMs = Number.NEGATIVE_INFINITY;
let asking: Promise<void> | undefined;
let served = 0;
let calls = 0;
const networks = new Map<string, Stage>();

/** The stage of a network, as far as this isolate knows. Waits only for its very first question. */
export async function stageOf(env: Env, network: string): Promise<Stage> {
  const nowMs = Date.now();
  const isClosed = all === "closed" && nowMs < untilMs;
  if (!isClosed && asking === undefined && nowMs - askedMs >= STAGE_REFRESH_MS) {
    const isFirst = askedMs === Number.NEGATIVE_INFINITY;
    askedMs = nowMs;
    asking = askLedger(env)
      .catch(() => {}) // asked again in time
      .finally(() => (asking = undefined));
    if (isFirst) await asking;
  }
  if (nowMs >= untilMs) return "open";
  const own = networks.get(network) ?? "open";
  return isAtLeast(own, all) ? own : all;
}

/** For `/metrics`: asks as seldom as others do. Undefined while the ledger has never answered. */
export async function spendingNow(env: Env): Promise<Spending | undefined> {
  await stageOf(env, "");
  await asking;
  return spending && { stage: Date.now() < untilMs ? all : "open", ...spending };
}

/** ms for which a stage holds. */
export function stageLeftMs(): number {
  return Math.max(0, untilMs - Date.now());
}

/** A request that the Worker answers by itself; told to the ledger with the next question. */
export function countServed(): void {
  served += 1;
}

/** Calls of objects that have no account of their own for them; told to the ledger with the next question. */
export function countCalls(count: number): void {
  calls += count;
}

/** Learns from an object's refusal. */
export function learn(response: Response, network: string, prefix: string | undefined): Response {
  const leftMs = Number(/^closed;(\d+)$/.exec(response.headers.get(STAGE_HEADER) ?? "")?.[1] ?? 0);
  if (leftMs > 0) {
    untilMs = Date.now() + leftMs;
    networks.set(network, "closed");
    if (networks.size > NETWORKS_MAX) networks.delete(networks.keys().next().value ?? "");
  }
  const banMs = Number(response.headers.get(BAN_HEADER) ?? 0);
  if (banMs > 0 && prefix !== undefined) bans.learn(prefix, banMs, Date.now());
  return response;
}

/**
 * Tells the ledger what this isolate did by itself, and learns the stages.
 * @throws Error when it does not answer
 */
export async function askLedger(env: Env): Promise<void> {
  const told = { served, calls, refused: takeUntold() };
  served = 0;
  calls = 0;
  try {
    const stages = await env.LEDGER.getByName("edge").stages(told);
    all = stages.all;
    spending = { units: stages.units, limit: stages.limit };
    untilMs = Date.now() + stages.leftMs;
    networks.clear();
    for (const { network, stage } of stages.networks) networks.set(network, stage);
  } catch (error) {
    served += told.served; // Refusals are figures, and may be lost.
    calls += told.calls;
    throw error;
  }
}

/** What an object answers to an upgrade when its network is closed. */
export function closedResponse(leftMs: number): Response {
  const response = errorResponse("edge/over-budget", OVER_BUDGET, undefined, Math.ceil(leftMs / 1_000));
  response.headers.set(STAGE_HEADER, `closed;${Math.ceil(leftMs)}`);
  return response;
}

export function bannedResponse(leftMs: number): Response {
  const response = errorResponse("edge/banned", BANNED, undefined, Math.ceil(leftMs / 1_000));
  response.headers.set(BAN_HEADER, String(Math.ceil(leftMs)));
  return response;
}

export const OVER_BUDGET =
  "This edge has spent what it may today; what stands between peers goes on. Come back when the day is over, or raise BUDGET_UNITS.";
export const BANNED = "Too much came from this address. Wait as long as the answer says.";

/**
 * A peer is refused on an open socket, because a browser shows nobody the answer to an upgrade: the stage, an error, a close. The socket ends in
 * the Worker; no object hears of it.
 */
export function refuseJoin(stage: Stage, message: string): Response {
  countRefusal("edge/over-budget");
  const { 0: client, 1: socket } = new WebSocketPair();
  socket.accept();
  socket.send(encodeFromRendezvous({ kind: "budget", stage, leftMs: stageLeftMs(), pass: "" }));
  socket.send(encodeFromRendezvous({ kind: "error", request: 0, code: "edge/over-budget", message }));
  socket.close(CLOSE_TRY_LATER, "edge/over-budget");
  return new Response(null, { status: 101, webSocket: client });
}
