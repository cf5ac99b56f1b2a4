/**
 * The account beside an independent count: every call of an object is one billed request, whoever makes it, and none may be missing. Calls are
 * counted where they are made, by a proxy around each stub.
 */
import { env, exports } from "cloudflare:workers";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { announcementClaim, encodeAnnouncement, encodeSignedAnnouncement } from "../../shared/listings.ts";
import { Ear, freshNetwork, ORIGIN, request, TestPeer } from "./harness.ts";

type Call = (...of: unknown[]) => unknown;

/** By the call's name. */
let calls: Record<string, number> = {};

beforeEach(() => {
  calls = {};
  // All kinds of objects have the same.
  const prototype = Object.getPrototypeOf(env.LEDGER) as typeof env.LEDGER;
  const { getByName } = prototype;
  vi.spyOn(prototype, "getByName").mockImplementation(function (this: typeof env.LEDGER, name) {
    const stub = getByName.call(this, name) as unknown as Record<string, Call>;
    const callOf = (method: string): Call => {
      return (...of) => {
        calls[method] = (calls[method] ?? 0) + 1;
        return stub[method]?.(...of);
      };
    };
    return new Proxy(stub, { get: (_, method: string) => callOf(method) }) as unknown as ReturnType<
      typeof getByName
    >;
  });
});
afterEach(() => vi.restoreAllMocks());

const counted = (): number => Object.values(calls).reduce((sum, count) => sum + count, 0);

async function get(path: string): Promise<void> {
  await (await exports.default.fetch(`${ORIGIN}${path}`)).text();
}

async function accounted(): Promise<number> {
  const { networks } = await env.LEDGER.getByName("edge").read();
  return networks.reduce((sum, { usage }) => sum + usage.objectRequests, 0);
}

/** ms at work of objects beyond one for each call and message, in the network that has fewest. */
async function idleMs(): Promise<number> {
  const { networks } = await env.LEDGER.getByName("edge").read();
  return Math.min(...networks.map(({ usage }) => usage.awakeMs - usage.objectRequests - usage.messages));
}

test("every call of an object is in the account", async () => {
  const network = freshNetwork();
  await get("/metrics");
  const [first, second] = [await TestPeer.joined(network), await TestPeer.joined(network)];
  first.send({ kind: "relay", request: 1, to: second.id, sealed: new Uint8Array([1]) });
  const [{ channel, ticket }, offer] = [
    await first.expect("relay-ready"),
    await second.expect("relay-offer"),
  ];
  const sides = [
    new Ear(await request(`/v1/relay/${channel}?ticket=${ticket}`)),
    new Ear(await request(`/v1/relay/${channel}?ticket=${offer.ticket}`)),
  ];
  for (const side of sides) expect(await side.next()).toBe("ready");
  const body = encodeAnnouncement({ id: first.id, timeMs: Date.now(), listings: [] });
  const signature = await first.identity.sign(announcementClaim(ORIGIN, network, body));
  await exports.default.fetch(`${ORIGIN}/v1/net/${network}/listings`, {
    method: "POST",
    body: encodeSignedAnnouncement(body, signature) as Uint8Array<ArrayBuffer>,
  });
  await get(`/v1/net/${network}/search?q=thing`);
  const phone = new Ear(await request("/peerjs/peerjs?key=listed&token=t&id=metering"));
  expect(await phone.next()).toContain("OPEN");
  await get("/peerjs/listed/peers");
  await get("/health");
  // Whoever is awake is asked for the account, and for the figures: that is a call of each.
  const before = calls["settleNow"] ?? 0;
  await accounted();
  expect((calls["settleNow"] ?? 0) - before).toBeGreaterThanOrEqual(4);
  for (const { socket } of [...sides, phone, first.ear, second.ear]) socket.close(1000);
  await Promise.all([...sides, phone, first.ear, second.ear].map((ear) => ear.closed()));

  // What objects still hold is told when somebody asks; what the Worker and the tally hold, ten seconds later.
  await accounted();
  const nowMs = Date.now();
  vi.spyOn(Date, "now").mockReturnValue(nowMs + 11_000);
  await get("/health");
  await get("/metrics");
  await expect.poll(async () => (await accounted()) - counted()).toBe(0);
  expect(await idleMs()).toBeGreaterThanOrEqual(0);
  const watched = [
    "announce",
    "drainCounters",
    "fetch",
    "ids",
    "isWell",
    "report",
    "search",
    "settle",
    "settleNow",
  ];
  expect(Object.keys(calls)).toEqual(expect.arrayContaining(watched));
});
