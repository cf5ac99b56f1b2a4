/**
 * What the owner of a private network sees of it at this edge: who is there, and the bans that are held to. The owner proves itself as a member does,
 * by a pass; the member that the pass names is the network's own key. What an owner does is a ban list, which needs no route.
 */
import { Hono } from "hono";
import { checkBans, emptyBans } from "../shared/bans.ts";
import { toBase64Url } from "../shared/bytes.ts";
import { type NetworkName, networkKeyOf, networkKindOf, peerIdFromKey } from "../shared/ids.ts";
import { countServed, OVER_BUDGET, stageLeftMs, stageOf } from "./door.ts";
import type { Env } from "./env.ts";
import { CORS_HEADERS } from "./http-errors.ts";
import { servedNetwork } from "./networks.ts";
import { type EdgeMember, passOf, PrivateRefusal } from "./passes.ts";
import { isAllowed, shardCount } from "./policy.ts";
import { refuse, refuseUntil } from "./refusals.ts";
import { rendezvousName } from "./shards.ts";
import { verifySignature } from "./verify.ts";

/** Members that are told of; a network with more is told to have more. */
export const ROSTER_MAX = 1_000;

export const admin: Hono<{ Bindings: Env }> = new Hono();

admin.get("/v1/net/:network/members", async ({ env, req }) => {
  const network = servedNetwork(env, req.raw, req.param("network"));
  if (network instanceof Response) return network;
  if (!(await isAllowed(env, "search", req.raw)))
    return refuse("edge/rate-limited", "Too many requests from this address. Wait a minute.");
  if ((await stageOf(env, network)) === "closed")
    return refuseUntil("edge/over-budget", OVER_BUDGET, stageLeftMs());
  countServed();
  const pass = await passOf(env, req.raw, network);
  if (pass instanceof PrivateRefusal) return refuse(pass.code, pass.message);
  if (!isOwner(pass, network))
    return refuse("network/not-owner", "Only the network's owner is told who is there.");
  const shards = Array.from({ length: shardCount(env.RENDEZVOUS_SHARDS) }, (_, shard) =>
    env.RENDEZVOUS.getByName(rendezvousName(network, shard)).roster(),
  );
  const rosters = await Promise.all(shards);
  const all = rosters.flatMap(({ members }) => members);
  const signed = rosters[0]?.signedBans;
  const { number: bans, keys } =
    signed === undefined ? emptyBans(network) : await checkBans(signed, network, verifySignature);
  return Response.json(
    {
      members: all.slice(0, ROSTER_MAX),
      more: Math.max(0, all.length - ROSTER_MAX),
      bans,
      banned: [...keys],
      signedBans: signed === undefined ? null : toBase64Url(signed),
    },
    { headers: { ...CORS_HEADERS, "cache-control": "no-store" } },
  );
});

function isOwner(pass: EdgeMember | undefined, network: NetworkName): boolean {
  const key = networkKindOf(network) === "invite" ? networkKeyOf(network) : undefined;
  return key !== undefined && pass?.member === peerIdFromKey(key);
}
