/** The budget of a real edge: its account is what passed the socket, and when it is spent peers go on without it. */
import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { STAGES } from "../../shared/budget.ts";
import { joinOnce } from "../attacks/client.ts";
import { costOf } from "../attacks/suite.ts";
import { Command } from "./command.ts";
import { bootstrapOf, checkEcho, linkedTo, openPeer } from "./peers.ts";
import { WebSocketProxy } from "./websocket-proxy.ts";

const TOKEN = "budget-test";

test("the account agrees with what passed the socket", async () => {
  const proxy = await WebSocketProxy.open({ EDGE_ADMIN_TOKEN: TOKEN });
  const options = { edge: proxy.url, network: "counted", only: "relay" } as const;
  const [first, second] = await Promise.all([openPeer(options), openPeer(options)]);
  const session = await first.connect(second.id);
  await checkEcho(session, randomBytes(600_000));
  const apart = async (): Promise<unknown> => {
    const cost = await costOf(proxy.target, TOKEN);
    const usage = cost.networks.find(({ network }) => network === "counted")?.usage;
    const messages = proxy.recorded.filter(
      ({ direction, bytes }) => direction === "to-edge" && bytes.toString("latin1", 0, 8) !== "ping",
    ).length;
    return [(usage?.requests ?? 0) - proxy.opened.length, (usage?.messages ?? 0) - messages];
  };
  await expect.poll(apart, { timeout: 10_000 }).toEqual([0, 0]);
});

test("stages pass, two direct peers keep talking, a third joins through them", async () => {
  const edge = new Command(["edge", "dev", "--port", "0", "--budget", "400"]);
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
