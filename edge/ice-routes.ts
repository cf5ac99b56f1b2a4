/**
 * ICE servers for whoever asks, and TURN among them for members alone. What passes a TURN server is no unit and in no ledger, yet it costs
 * its operator, so whoever gets it has joined, may relay without a quota, and only as long as the edge relays at all.
 */
import { Hono } from "hono";
import { isAtLeast } from "../shared/budget.ts";
import { parseNetworkName, type PeerId } from "../shared/ids.ts";
import { bans, countServed, stageOf } from "./door.ts";
import { ticketKey } from "./edge-keys.ts";
import type { Env } from "./env.ts";
import { CORS_HEADERS } from "./http-errors.ts";
import { hasTurn, iceServers, TURN_KEEP_SECONDS } from "./ice.ts";
import { isServed } from "./networks.ts";
import { may, passOf, PrivateRefusal } from "./passes.ts";
import { addressPrefix, clientAddress, isAllowed } from "./policy.ts";
import { refuse } from "./refusals.ts";
import { BACK_QUERY, holderOfReturnPass } from "./return-pass.ts";

/** Names the network that the return pass, and in a private one the pass, are of. */
const NETWORK_QUERY = "network";
/** Seconds that peers may keep ICE servers without TURN credentials. */
const ICE_KEEP_SECONDS = 3_600;

export const ice: Hono<{ Bindings: Env }> = new Hono();

ice.get("/v1/ice", async ({ env, req }) => {
  countServed();
  if (!(await isAllowed(env, "ice", req.raw)))
    return refuse("edge/rate-limited", "Too many requests from this address. Keep the answer.");
  const member = hasTurn(env) ? await turnMember(env, req.raw) : undefined;
  const surroundings = { nowMs: Date.now(), fetch: (url: string, init: RequestInit) => fetch(url, init) };
  const servers = await iceServers(env, surroundings, member);
  const ttlSeconds = member === undefined ? ICE_KEEP_SECONDS : TURN_KEEP_SECONDS;
  // What a member is told now it may be told otherwise in a moment.
  const isForAll = req.query(NETWORK_QUERY) === undefined;
  const keep = isForAll ? `private, max-age=${ICE_KEEP_SECONDS}` : "no-store";
  return Response.json(
    { iceServers: servers, ttlSeconds },
    { headers: { ...CORS_HEADERS, "cache-control": keep } },
  );
});

/** Who asks, if it may have TURN. No object is touched, but for the stage and the bans that every isolate knows. */
async function turnMember(env: Env, request: Request): Promise<PeerId | undefined> {
  const query = new URL(request.url).searchParams;
  const [network, back] = [parseNetworkName(query.get(NETWORK_QUERY) ?? ""), query.get(BACK_QUERY) ?? ""];
  const nowMs = Date.now();
  if (network === undefined || back === "" || !isServed(env, network)) return undefined;
  if (bans.leftMs(addressPrefix(clientAddress(request)), nowMs) > 0) return undefined;
  const member = await holderOfReturnPass(back, network, nowMs, await ticketKey(env));
  if (member === undefined || isAtLeast(await stageOf(env, network), "relay-off")) return undefined;
  const pass = await passOf(env, request, network);
  if (pass === undefined) return member;
  // A TURN server counts for nobody, so it is not for those whose relayed bytes are counted.
  const isFree = !(pass instanceof PrivateRefusal) && pass.relayBytesPerDay === undefined;
  return isFree && pass.member === member && may(pass, "relay") ? member : undefined;
}
