/**
 * The page and the browser runtime, with the headers a browser needs to keep them honest: the page runs nothing that is not a
 * file of this edge, and any page may import `/peer.js`.
 */
import type { Env } from "./env.ts";
import { CORS_HEADERS, errorResponse } from "./http-errors.ts";

/** `connect-src` is open, because the page talks to whatever edge its user names. */
const CONTENT_SECURITY_POLICY: string = [
  "default-src 'self'",
  "connect-src 'self' https: http: wss: ws:",
  "img-src 'self' data: blob:",
  "worker-src 'self' blob:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The operator's page holds secrets: it loads nothing, and talks to nobody, but its own edge. */
const ADMIN_PATH = /^\/admin(?:\.html)?$/;
const ADMIN_POLICY: string = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Where peers of this origin run strangers' modules: the worker may compile WebAssembly and reach nothing at all. */
const COMPUTE_WORKER_PATH = "/compute-worker.js";
const COMPUTE_WORKER_POLICY = "default-src 'none'; script-src 'wasm-unsafe-eval'";

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": CONTENT_SECURITY_POLICY,
  "cross-origin-resource-policy": "cross-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

export async function serveAsset(env: Env, request: Request): Promise<Response> {
  const found = await env.ASSETS?.fetch(request);
  if (found === undefined || found.status === 404)
    return errorResponse("usage/invalid", "There is nothing here.", 404);
  const response = new Response(found.body, found);
  for (const [name, value] of Object.entries({ ...CORS_HEADERS, ...SECURITY_HEADERS }))
    response.headers.set(name, value);
  const { pathname } = new URL(request.url);
  if (pathname === COMPUTE_WORKER_PATH)
    response.headers.set("content-security-policy", COMPUTE_WORKER_POLICY);
  if (ADMIN_PATH.test(pathname)) {
    response.headers.set("content-security-policy", ADMIN_POLICY);
    response.headers.set("cross-origin-opener-policy", "same-origin");
    response.headers.set("cache-control", "no-store");
  }
  return response;
}
