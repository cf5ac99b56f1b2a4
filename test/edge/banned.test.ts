/** An address prefix that is banned costs no object a request, whatever it asks for. */
import { env, exports } from "cloudflare:workers";
import { afterEach, expect, test, vi } from "vitest";
import { bans } from "../../edge/door.ts";
import { ORIGIN } from "./harness.ts";

afterEach(() => vi.restoreAllMocks());

test("a banned prefix is refused on every route before an object hears of it, and nobody else is", async () => {
  bans.add("10.77.0.0/24", Date.now());
  const touched = vi.spyOn(Object.getPrototypeOf(env.LEDGER) as typeof env.LEDGER, "getByName");
  const ticket = "a".repeat(180);
  const routes: readonly (readonly [string, string, RequestInit?])[] = [
    ["a join", "/v1/net/demo/join", { headers: { upgrade: "websocket" } }],
    ["a relay", `/v1/relay/${"a".repeat(26)}?ticket=${ticket}`, { headers: { upgrade: "websocket" } }],
    ["PeerJS", "/peerjs/peerjs?key=peerjs&token=t&id=x", { headers: { upgrade: "websocket" } }],
    ["PeerJS's list", "/peerjs/listed/peers"],
    ["a question", "/v1/net/demo/search?q=cat"],
    ["an announcement", "/v1/net/demo/listings", { method: "POST", body: new Uint8Array(200) }],
    ["the members", "/v1/net/demo/members"],
    ["metrics", "/metrics"],
    ["health", "/health"],
  ];
  const ask = async (address: string, path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    headers.set("cf-connecting-ip", address);
    return exports.default.fetch(`${ORIGIN}${path}`, { ...init, headers });
  };
  for (const [what, path, init] of routes) {
    const response = await ask("10.77.0.9", path, init);
    expect([response.status, ((await response.json()) as { code: unknown }).code], what).toEqual([
      429,
      "edge/banned",
    ]);
    expect(Number(response.headers.get("retry-after")), what).toBeGreaterThan(0);
  }
  expect(touched).not.toHaveBeenCalled();
  expect((await ask("10.77.1.9", "/metrics")).status).toBe(200);
  expect((await ask("10.77.0.9", "/v1/cost")).status).toBe(401);
});
