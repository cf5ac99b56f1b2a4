/** Small messages on a relay channel: a side is told a pace before it is cut, whatever the object forgets by sleeping. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { STRIKES_MAX } from "../../edge/address-bans.ts";
import { bans } from "../../edge/door.ts";
import type { ChannelId, NetworkName } from "../../shared/ids.ts";
import { RELAY_HELD_BYTES_PER_SECOND, RELAY_MESSAGES_BURST } from "../../shared/limits.ts";
import { Ear, freshNetwork, request, sleepRelay, TestPeer } from "./harness.ts";
import { granted } from "./owned-network.ts";

const HELD = `pace:${RELAY_HELD_BYTES_PER_SECOND}`;
const FRAME = new Uint8Array(1);
/** Time stands still, so nothing is refilled. */
beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"], now: Date.now() }));
afterEach(() => void vi.useRealTimers());

/** A channel opened from an address. */
async function opened(network: NetworkName, address: string): Promise<readonly [Ear, Ear, ChannelId]> {
  const [asker, asked] = [await TestPeer.joined(network), await TestPeer.joined(network)];
  const { channel, tickets } = await granted(asker, asked);
  const open = async (ticket: string): Promise<Ear> =>
    new Ear(await request(`/v1/relay/${channel}?ticket=${ticket}`, { "cf-connecting-ip": address }));
  const [a, b] = [await open(tickets[0]), await open(tickets[1])];
  expect([await a.next(), await b.next()]).toEqual(["ready", "ready"]);
  return [a, b, channel];
}

function flood({ socket }: Ear, count: number): void {
  for (let index = 0; index < count; index++) socket.send(FRAME);
}

/** Reads all that was sent, so that the object has seen it. */
async function drain(ear: Ear, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await ear.next();
}

test("who sends too many is told a pace, and cut past the last of them; the other side is neither", async () => {
  const [a, b] = await opened(freshNetwork(), "192.0.2.1");
  flood(a, RELAY_MESSAGES_BURST);
  expect(await a.next()).toBe(HELD);
  await drain(b, RELAY_MESSAGES_BURST);
  flood(a, 1);
  expect(await a.closed()).toEqual({ code: 4003, reason: "edge/relay-over-credit" });
  expect(await b.closed()).toEqual({ code: 4002, reason: "link/closed" });
});

test("who has rested is told so, though the object has slept since", async () => {
  const [a, b, channel] = await opened(freshNetwork(), "192.0.2.1");
  flood(a, 3_000);
  expect(await a.next()).toBe(HELD);
  await drain(b, 3_000);
  vi.setSystemTime(Date.now() + 1_000);
  flood(a, 1);
  await drain(b, 1);
  vi.setSystemTime(Date.now() + 10_000);
  await sleepRelay(channel);
  flood(a, 1);
  await drain(b, 1);
  expect(await a.next()).toBe("pace:0");
});

test("acknowledgements are messages too", async () => {
  const [a, b] = await opened(freshNetwork(), "192.0.2.1");
  for (let index = 0; index <= RELAY_MESSAGES_BURST; index++) b.socket.send("ack:0");
  expect(await b.next()).toBe(HELD);
  expect(await b.closed()).toMatchObject({ code: 4003 });
  expect(await a.closed()).toMatchObject({ code: 4002 });
});

test("an address prefix from which that comes often is kept out", async () => {
  const network = freshNetwork();
  const [a] = await opened(network, "198.51.100.7");
  for (let strike = 1; strike < STRIKES_MAX; strike++) bans.strike("198.51.100.0/24", Date.now());
  const again = (): Promise<Response> =>
    request(`/v1/net/${network}/join`, { "cf-connecting-ip": "198.51.100.8" });
  expect((await again()).status).toBe(101);
  flood(a, RELAY_MESSAGES_BURST + 1);
  expect(await a.closed()).toMatchObject({ code: 4003 });
  const refused = await again();
  expect([refused.status, ((await refused.json()) as { code: unknown }).code]).toEqual([429, "edge/banned"]);
});
