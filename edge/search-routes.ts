/**
 * The search index over HTTP: members announce what they share, anybody asks. All that can be refused is refused here, size, rate, form and
 * signature, before an object is touched. Who may announce is who may join: the holder of a key, proved by its signature over
 * this edge's origin, the network and the time, and only for itself.
 */
import { Hono } from "hono";
import { bufferSource, concatBytes, sha256, utf8 } from "../shared/bytes.ts";
import { REFUSAL_TEXT } from "../shared/credential.ts";
import { PeerloomError } from "../shared/errors.ts";
import { type NetworkName, publicKeyOf } from "../shared/ids.ts";
import { CLOCK_SKEW_MS_MAX } from "../shared/limits.ts";
import {
  ANNOUNCEMENT_BYTES_MAX,
  announcementClaim,
  decodeSignedAnnouncement,
  encodeListings,
  HIT_TICKETS_MAX,
  HITS_BYTES_MAX,
  HITS_MAX,
  type IndexHit,
  LISTING_TTL_MS,
  QUERY_CHARACTERS_MAX,
  type SignedAnnouncement,
} from "../shared/listings.ts";
import { QUERY_WORDS_MAX, wordsOf } from "../shared/words.ts";
import { isAtLeast } from "../shared/budget.ts";
import { AddressBans } from "./address-bans.ts";
import { OVER_BUDGET, stageLeftMs, stageOf } from "./door.ts";
import type { Env } from "./env.ts";
import { CORS_HEADERS } from "./http-errors.ts";
import { servedNetwork } from "./networks.ts";
import { may, passOf, PrivateRefusal } from "./passes.ts";
import { acceptedOrigins, addressPrefix, clientAddress, isAllowed, shardCount } from "./policy.ts";
import { refuse, refuseUntil } from "./refusals.ts";
import type { FoundListing, NotTaken } from "./index-entry.ts";
import { searchIndexName, searchShard } from "./shards.ts";

export const search: Hono<{ Bindings: Env }> = new Hono();

search.get("/v1/net/:network/search", ({ env, req }) => {
  const network = servedNetwork(env, req.raw, req.param("network"));
  return network instanceof Response ? network : searchNetwork(env, req.raw, network);
});

search.post("/v1/net/:network/listings", ({ env, req }) => {
  const network = servedNetwork(env, req.raw, req.param("network"));
  return network instanceof Response ? network : announceListings(env, req.raw, network);
});

/** Prefixes that have announced as much as they may today: they wake no index for the rest of it. */
const announcedEnough = new AddressBans();
const ENOUGH = "This address has announced as much as one may in a day. Say it again tomorrow.";

const INDEX_SAVES =
  "This edge's index takes nothing new today: that is the first it saves. Peers find what is shared among each other.";

const REFUSALS: Readonly<Record<NotTaken["code"], string>> = {
  "edge/over-budget": INDEX_SAVES,
  "edge/over-capacity": "This edge is too busy to account for it. Say it again in a minute.",
  "edge/rate-limited": "Too many announcements. Say it again in a minute.",
  "search/stale": "A later announcement of this peer is known. Set its clock, or run one process of it.",
  "search/over-quota": "This network's index is full. Raise RENDEZVOUS_SHARDS, or try again later.",
};

async function searchNetwork(env: Env, request: Request, network: NetworkName): Promise<Response> {
  const text = new URL(request.url).searchParams.get("q") ?? "";
  const words = text.length <= QUERY_CHARACTERS_MAX ? wordsOf(text, QUERY_WORDS_MAX) : [];
  if (words.length === 0)
    return refuse("usage/invalid", `Ask ?q= with words, at most ${QUERY_CHARACTERS_MAX} characters.`);
  if (!(await isAllowed(env, "search", request)))
    return refuse("edge/rate-limited", "Too many searches from this address. Wait a minute.");
  if (isAtLeast(await stageOf(env, network), "members"))
    return refuseUntil("edge/over-budget", OVER_BUDGET, stageLeftMs());
  const pass = await passOf(env, request, network);
  if (pass instanceof PrivateRefusal) return refuse(pass.code, pass.message);
  const shards = Array.from({ length: shardCount(env.RENDEZVOUS_SHARDS) }, (_, shard) => shard);
  const found = await Promise.all(
    shards.map((shard) =>
      env.SEARCH.getByName(searchIndexName(network, shard)).search({ network, shard }, words, HITS_MAX),
    ),
  );
  const body = answerText(mergeFound(found.flat()));
  const headers = { ...CORS_HEADERS, "content-type": "application/json", "cache-control": "no-store" };
  return new Response(body, { headers });
}

async function announceListings(env: Env, request: Request, network: NetworkName): Promise<Response> {
  if (!(await isAllowed(env, "announce", request)))
    return refuse("edge/rate-limited", "Too many announcements from this address. Wait a minute.");
  const prefix = addressPrefix(clientAddress(request));
  const enoughMs = announcedEnough.leftMs(prefix, Date.now());
  if (enoughMs > 0) return refuseUntil("edge/rate-limited", ENOUGH, enoughMs);
  if (isAtLeast(await stageOf(env, network), "members"))
    return refuseUntil("edge/over-budget", OVER_BUDGET, stageLeftMs());
  const pass = await passOf(env, request, network);
  if (pass instanceof PrivateRefusal) return refuse(pass.code, pass.message);
  let signed: SignedAnnouncement;
  try {
    signed = decodeSignedAnnouncement(await boundedBody(request));
  } catch (error) {
    if (!(error instanceof PeerloomError)) throw error;
    return refuse(error.code, error.message, error.code === "wire/too-large" ? 413 : 400);
  }
  const { id: member, timeMs, listings } = signed.announcement;
  if (pass !== undefined && (pass.member !== member || !may(pass, "index")))
    return refuse("network/not-allowed", REFUSAL_TEXT["network/not-allowed"] ?? "Not allowed.");
  const apartMs = timeMs - Date.now();
  if (Math.abs(apartMs) > CLOCK_SKEW_MS_MAX) {
    const message = `This peer's clock differs by ${Math.round(apartMs / 1000)} s from the edge's. Set the clock.`;
    return refuse("search/stale", message);
  }
  if (!(await isGenuine(signed, network, acceptedOrigins(env, request)))) {
    return refuse(
      "search/forged",
      "The signature does not fit the peer, the network, the time and this edge.",
    );
  }
  const shard = searchShard(env, member);
  const digest = await sha256(encodeListings(listings));
  const entry = { network, shard, member, timeMs, digest, listings, prefix };
  const refusal = await env.SEARCH.getByName(searchIndexName(network, shard)).announce(entry);
  if (refusal !== undefined) return notTaken(refusal, prefix);
  return Response.json({ listings: listings.length, ttlMs: LISTING_TTL_MS }, { headers: CORS_HEADERS });
}

function notTaken({ code, leftMs }: NotTaken, prefix: string | undefined): Response {
  if (leftMs === undefined) return refuse(code, REFUSALS[code]);
  if (code !== "edge/rate-limited") return refuseUntil(code, REFUSALS[code], leftMs);
  if (prefix !== undefined) announcedEnough.learn(prefix, leftMs, Date.now());
  return refuseUntil(code, ENOUGH, leftMs);
}

/** The same content in several shards is one; what most have comes first. */
function mergeFound(found: readonly FoundListing[]): FoundListing[] {
  const byHash = new Map<string, FoundListing>();
  for (const one of found) {
    const other = byHash.get(one.hash);
    const merged =
      other === undefined
        ? one
        : {
            ...other,
            tickets: [...other.tickets, ...one.tickets].slice(0, HIT_TICKETS_MAX),
            sources: other.sources + one.sources,
          };
    byHash.set(one.hash, merged);
  }
  return [...byHash.values()].sort((a, b) => b.sources - a.sources).slice(0, HITS_MAX);
}

/** JSON, with as many hits as fit. */
function answerText(found: readonly FoundListing[]): string {
  const hits: string[] = [];
  let left = HITS_BYTES_MAX - '{"hits":[]}'.length;
  for (const { name, bytes, hash, tickets, sources } of found) {
    const [ticket = "", ...moreTickets] = tickets;
    const full: IndexHit = { name, bytes, hash, ticket, moreTickets, sources };
    const fitting = [full, { ...full, moreTickets: [] }]
      .map((hit) => JSON.stringify(hit))
      .find((text) => utf8(text).length + 1 <= left);
    if (fitting === undefined) break;
    left -= utf8(fitting).length + 1;
    hits.push(fitting);
  }
  return `{"hits":[${hits.join(",")}]}`;
}

async function isGenuine(
  { announcement, body, signature }: SignedAnnouncement,
  network: NetworkName,
  origins: readonly string[],
): Promise<boolean> {
  try {
    const bytes = bufferSource(publicKeyOf(announcement.id));
    const key = await crypto.subtle.importKey("raw", bytes, "Ed25519", false, ["verify"]);
    for (const origin of origins) {
      const claim = bufferSource(announcementClaim(origin, network, body));
      if (await crypto.subtle.verify("Ed25519", key, bufferSource(signature), claim)) return true;
    }
  } catch {
    // Not a point on the curve.
  }
  return false;
}

/** @throws PeerloomError `wire/too-large`, without reading more */
async function boundedBody(request: Request): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  const tooLarge = new PeerloomError("wire/too-large", `At most ${ANNOUNCEMENT_BYTES_MAX} bytes.`);
  if (Number(request.headers.get("content-length") ?? 0) > ANNOUNCEMENT_BYTES_MAX) throw tooLarge;
  for await (const part of request.body ?? []) {
    bytes += part.length;
    if (bytes > ANNOUNCEMENT_BYTES_MAX) throw tooLarge;
    parts.push(part);
  }
  return concatBytes(...parts);
}
