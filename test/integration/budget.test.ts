/** The budget of a real edge: its account is what passed the socket, and when it is spent peers go on without it. */
import { randomBytes } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { beforeEach, expect, test } from "vitest";
import { STAGES } from "../../shared/budget.ts";
import { joinOnce } from "../attacks/client.ts";
import { costOf } from "../attacks/suite.ts";
import { Command } from "./command.ts";
import type { NodePeerOptions, Peer } from "../../peer/node.ts";
import { bootstrapOf, checkEcho, linkedTo, openEdge, openPeer } from "./peers.ts";
import { WebSocketProxy } from "./websocket-proxy.ts";

const TOKEN = "budget-test";
/** Peers that a newcomer finds: as many as it links to before it leaves the edge. */
const MET = 8;

/** What the edge is billed for: all that came from peers, but for heartbeats. */
const messagesTo = ({ recorded }: WebSocketProxy): number =>
  recorded.filter(
    ({ direction, bytes }) => direction === "to-edge" && bytes.toString("latin1", 0, 8) !== "ping",
  ).length;

/** An edge's day is UTC's, and its account begins anew with it. */
const DAY_MS = 86_400_000;
const TEST_MS_MAX = 60_000;

beforeEach(async () => {
  const leftMs = DAY_MS - (Date.now() % DAY_MS);
  if (leftMs < TEST_MS_MAX) await wait(leftMs);
});

test("the account agrees with what passed the socket", async () => {
  const proxy = await WebSocketProxy.open({ EDGE_ADMIN_TOKEN: TOKEN });
  const options = { edge: proxy.url, network: "counted", only: "relay" } as const;
  const [first, second] = await Promise.all([openPeer(options), openPeer(options)]);
  const session = await first.connect(second.id);
  await checkEcho(session, randomBytes(600_000));
  const apart = async (): Promise<unknown> => {
    const cost = await costOf(proxy.target, TOKEN);
    const usage = cost.networks.find(({ network }) => network === "counted")?.usage;
    return [(usage?.requests ?? 0) - proxy.opened.length, (usage?.messages ?? 0) - messagesTo(proxy)];
  };
  await expect.poll(apart, { timeout: 10_000 }).toEqual([0, 0]);
});

test("a join costs twelve messages at most, those of whom it meets among them: by TCP, and by WebRTC alone", async () => {
  const edge = await openEdge(0, { EDGE_ADMIN_TOKEN: TOKEN, RENDEZVOUS_BEACONS: String(MET) });
  const account = async (network: string): Promise<number> => {
    const { networks } = await costOf(edge.url, TOKEN);
    return networks.find((one) => one.network === network)?.usage.messages ?? 0;
  };
  const joined = async (network: string, how: NodePeerOptions): Promise<[Peer, number]> => {
    const options = { edge: edge.url, network, ...how };
    const met = await Promise.all(Array.from({ length: MET }, () => openPeer(options)));
    await Promise.all(met.map((peer) => linkedTo(peer, MET - 1)));
    const before = await account(network);
    const newcomer = await openPeer(options);
    await linkedTo(newcomer, MET);
    // It says goodbye once the overlay carries it, and nothing may have been said behind the last link.
    await new Promise((resolve) => newcomer.addEventListener("edge", resolve, { once: true }));
    return [newcomer, (await account(network)) - before];
  };
  const joins = await Promise.all([
    joined("tcp", { listen: "127.0.0.1:0", webrtc: false }),
    joined("webrtc", {}),
  ]);
  for (const [newcomer, messages] of joins) {
    expect(newcomer.status().overlay).toMatchObject({ ready: true });
    expect(messages).toBeLessThanOrEqual(12);
  }
});

test("stages pass, two direct peers keep talking, a third joins through them", async () => {
  const edge = new Command(["edge", "dev", "--port", "0", "--budget", "700"]);
  const { url, adminToken } = await edge.wait("ready");
  const at = { edge: String(url), network: "small" };
  const listening = { ...at, listen: "127.0.0.1:0", webrtc: false } as const;
  const [first, second] = await Promise.all([openPeer(listening), openPeer(listening)]);
  const session = await first.connect(second.id, { addresses: second.listenAddresses });
  const seen = new Set<string>();
  for (let joins = 0; joins < 200 && !seen.has("closed"); joins++) {
    await joinOnce({ ...at, network: "strangers" });
    const { stage, units, limit } = await costOf(at.edge, String(adminToken));
    seen.add(stage);
    expect(units).toBeLessThanOrEqual(limit * 1.01);
    await checkEcho(session, randomBytes(1_000));
  }
  expect([...seen]).toEqual([...STAGES]);
  expect(await joinOnce(at)).toBe(false);
  const third = await openPeer({ ...listening, bootstrap: bootstrapOf(first) });
  await linkedTo(third, 1);
  await checkEcho(await third.connect(second.id), randomBytes(1_000));
  const cost = new Command(["edge", "cost", "--edge", at.edge], {
    environment: { PEERLOOM_ADMIN_TOKEN: String(adminToken) },
  });
  const { stage, dollars, units } = await cost.wait("cost");
  expect(stage).toBe("closed");
  expect(Number(dollars)).toBeCloseTo(Number(units) * 0.15e-6, 12);
  expect(await cost.exit).toBe(0);
});

test("without the token nobody is told", async () => {
  const edge = new Command(["edge", "dev", "--port", "0"]);
  const url = String((await edge.wait("ready"))["url"]);
  const statuses = await Promise.all(
    ["", "Bearer wrong", "Basic eA=="].map(
      async (authorization) => (await fetch(`${url}/v1/cost`, { headers: { authorization } })).status,
    ),
  );
  expect(statuses).toEqual([401, 401, 401]);
});
