/** What the edge costs today, for who knows `EDGE_ADMIN_TOKEN`. Without that variable nobody is told. */
import { Hono } from "hono";
import { utf8 } from "../shared/bytes.ts";
import type { Env } from "./env.ts";
import { CORS_HEADERS } from "./http-errors.ts";
import { isAllowed } from "./policy.ts";
import { refuse } from "./refusals.ts";

export const cost: Hono<{ Bindings: Env }> = new Hono();

cost.get("/v1/cost", async ({ env, req }) => {
  if (!(await isAllowed(env, "cost", req.raw)))
    return refuse("edge/rate-limited", "Too many requests from this address. Wait a minute.");
  const token = /^Bearer (.{1,256})$/.exec(req.header("authorization") ?? "")?.[1] ?? "";
  if (!(await isSame(token, env.EDGE_ADMIN_TOKEN ?? "")))
    return refuse("edge/not-admin", "Give this edge's EDGE_ADMIN_TOKEN as a bearer token.");
  const now = await env.LEDGER.getByName("edge").read();
  return Response.json(now, { headers: { ...CORS_HEADERS, "cache-control": "no-store" } });
});

/** In a time that tells nothing of where they differ: digests of one length are compared, each under a key of the moment. */
async function isSame(given: string, expected: string): Promise<boolean> {
  if (expected === "") return false;
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = (await crypto.subtle.generateKey(algorithm, false, ["sign", "verify"])) as CryptoKey;
  return crypto.subtle.verify(
    "HMAC",
    key,
    await crypto.subtle.sign("HMAC", key, utf8(given)),
    utf8(expected),
  );
}
