/**
 * The Worker: routes. It checks names, tickets and rates before any object is touched, because a touched object is billed, and
 * hands each WebSocket to the object it belongs to. What remains are the page and the browser runtime, served as files.
 */
import { Hono } from "hono";
import { isAtLeast } from "../shared/budget.ts";
import { parseChannelId } from "../shared/ids.ts";
import { admin } from "./admin-routes.ts";
import { serveAsset } from "./assets.ts";
import { cost } from "./cost-routes.ts";
import {
  BANNED,
  bans,
  countServed,
  learn,
  OVER_BUDGET,
  refuseJoin,
  spendingNow,
  stageLeftMs,
  stageOf,
} from "./door.ts";
import { hasRoom, NO_ROOM } from "./descriptors.ts";
import { ticketKey } from "./edge-keys.ts";
import type { Env } from "./env.ts";
import { health } from "./health.ts";
import { CORS_HEADERS, errorResponse } from "./http-errors.ts";
import { ice } from "./ice-routes.ts";
import { logFailure } from "./log.ts";
import { prometheusText } from "./metrics.ts";
import { isServed, servedNetwork } from "./networks.ts";
import { peerjs } from "./peerjs-routes.ts";
import { BACK_HEADER, BACK_QUERY, holderOfReturnPass } from "./return-pass.ts";
import { addressPrefix, clientAddress, isAllowed, shardCount } from "./policy.ts";
import { refusalNow } from "./ban-cache.ts";
import { encodeMember, MEMBER_HEADER, passOf, PrivateRefusal } from "./passes.ts";
import { isUpgrade, refusals, refuse, refuseSocket, refuseUntil } from "./refusals.ts";
import { search } from "./search-routes.ts";
import { pickShard, rendezvousName, SHARD_HEADER } from "./shards.ts";
import { isGenuine, readTicket } from "./tickets.ts";

export { EdgeKeys } from "./edge-keys.ts";
export { EdgeLedger } from "./ledger.ts";
export { PeerjsRoom } from "./peerjs-room.ts";
export { RelayChannel } from "./relay-channel.ts";
export { Rendezvous } from "./rendezvous.ts";
export { SearchIndex } from "./search-index.ts";
export { EdgeTally } from "./tally.ts";

const app: Hono<{ Bindings: Env }> = new Hono();

// All that may touch an object. `/v1/cost` wants the operator's token before it does, whoever sits beside him.
for (const path of ["/v1/net/*", "/v1/relay/*", "/peerjs/*", "/metrics", "/health"])
  app.use(path, async ({ req }, next) => {
    const bannedMs = bans.leftMs(addressPrefix(clientAddress(req.raw)), Date.now());
    return bannedMs > 0 ? refuseUntil("edge/banned", BANNED, bannedMs) : next();
  });

app.get("/health", async ({ env, req }) => {
  if (!(await isAllowed(env, "health", req.raw)))
    return refuse("edge/rate-limited", "Too many requests from this address. Once in ten seconds is enough.");
  const now = await health(env, Date.now());
  return Response.json(now, {
    status: now.ok ? 200 : 503,
    headers: { ...CORS_HEADERS, "cache-control": "no-store" },
  });
});

app.get("/metrics", async ({ env, req }) => {
  if (!(await isAllowed(env, "metrics", req.raw)))
    return refuse("edge/rate-limited", "Too many requests from this address. Once in ten seconds is enough.");
  const totals = await env.TALLY.getByName("edge").read();
  const headers = {
    ...CORS_HEADERS,
    "content-type": "text/plain; version=0.0.4; charset=utf-8",
    "cache-control": "no-store",
  };
  const facts = {
    refused: refusals(),
    bannedPrefixes: bans.count(Date.now()),
    spending: await spendingNow(env),
  };
  return new Response(prometheusText(totals, facts), { headers });
});

app.get("/v1/net/:network/join", async ({ env, req }) => {
  const network = servedNetwork(env, req.raw, req.param("network"));
  if (network instanceof Response) return network;
  if (!isUpgrade(req.raw)) return refuse("usage/invalid", "Open this with a WebSocket.", 426);
  if (!(await isAllowed(env, "join", req.raw)))
    return refuse("edge/rate-limited", "Too many joins from this address. Wait a minute.");
  const stage = await stageOf(env, network);
  if (stage === "closed") return refuseJoin(stage, OVER_BUDGET);
  const back = req.query(BACK_QUERY) ?? "";
  const member =
    back === "" ? undefined : await holderOfReturnPass(back, network, Date.now(), await ticketKey(env));
  if (stage === "members" && member === undefined)
    return refuseJoin(stage, "This edge takes no newcomers today. Join through a peer that is in.");
  if (!(await hasRoom(env, Date.now()))) return refuse("edge/over-capacity", NO_ROOM);
  const pass = await passOf(env, req.raw, network);
  if (pass instanceof PrivateRefusal) return refuseSocket(pass.code, pass.message);
  const unit = (crypto.getRandomValues(new Uint32Array(1))[0] as number) / 2 ** 32;
  const shard = pickShard(shardCount(env.RENDEZVOUS_SHARDS), unit);
  const request = new Request(req.raw);
  request.headers.set(SHARD_HEADER, String(shard));
  request.headers.set(MEMBER_HEADER, encodeMember(pass));
  request.headers.set(BACK_HEADER, member ?? "");
  const answer = await env.RENDEZVOUS.getByName(rendezvousName(network, shard)).fetch(request);
  return learn(answer, network, addressPrefix(clientAddress(req.raw)));
});

app.get("/v1/relay/:channel", async ({ env, req }) => {
  const channel = parseChannelId(req.param("channel"));
  if (channel === undefined) return refuse("edge/ticket-invalid", "This is not a relay channel.", 404);
  if (!isUpgrade(req.raw)) return refuse("usage/invalid", "Open this with a WebSocket.", 426);
  const text = req.query("ticket") ?? "";
  const ticket = readTicket(text);
  if (ticket === undefined || ticket.channel !== channel)
    return refuse("edge/ticket-invalid", "The ticket is not for this channel.");
  if (!isServed(env, ticket.network)) return refuseSocket("network/not-allowed");
  if (ticket.expiresMs <= Date.now())
    return refuse("edge/ticket-expired", "The ticket has expired. Ask for a new channel.");
  if (!(await isAllowed(env, "relay", req.raw)))
    return refuse("edge/rate-limited", "Too many channels from this address. Wait a minute.");
  if (!(await hasRoom(env, Date.now()))) return refuse("edge/over-capacity", NO_ROOM);
  if (!(await isGenuine(text, await ticketKey(env))))
    return refuse("edge/ticket-invalid", "This edge did not make the ticket.");
  const refusal = ticket.membership && (await refusalNow(env, ticket.network, ticket.membership));
  if (refusal !== undefined) return refuseSocket(refusal);
  if (isAtLeast(await stageOf(env, ticket.network), "relay-off"))
    return refuseUntil(
      "edge/relay-off",
      "This edge relays no more today. Reach each other directly.",
      stageLeftMs(),
    );
  const answer = await env.RELAY.getByName(channel).fetch(req.raw);
  return learn(answer, ticket.network, addressPrefix(clientAddress(req.raw)));
});

app.route("/", cost);
app.route("/", ice);
app.route("/", peerjs);
app.route("/", search);
app.route("/", admin);

app.options("*", () => new Response(null, { status: 204, headers: CORS_HEADERS }));

app.get("*", ({ env, req }) => {
  countServed();
  return serveAsset(env, req.raw);
});

app.notFound(() => errorResponse("usage/invalid", "There is nothing here.", 404));

app.onError((error) => {
  logFailure(error);
  return errorResponse("internal/assertion", "The edge failed on this request. Try again.", 500);
});

export default app;
