/** The stage "relay slower" as a channel tells it: until the day is over, whether the object sleeps or not, and no longer. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { NO_USAGE } from "../../shared/budget.ts";
import type { ChannelId, NetworkName } from "../../shared/ids.ts";
import { RELAY_SLOW_BYTES_PER_SECOND, RELAY_UNACKED_BYTES_MAX } from "../../shared/limits.ts";
import { type Ear, freshNetwork, sleepRelay, TestPeer } from "./harness.ts";
import { relayed } from "./owned-network.ts";

const DAY_MS = 86_400_000;
const PACE = `pace:${RELAY_SLOW_BYTES_PER_SECOND}`;
const FRAME = new Uint8Array(2 ** 17).fill(7);

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"], now: Date.now() }));
afterEach(() => void vi.useRealTimers());

/** 65 % of what one day may cost. */
async function spend(network: NetworkName): Promise<void> {
  await env.LEDGER.getByName("edge").settle({
    holder: "test",
    network,
    isNew: true,
    spent: { ...NO_USAGE, objectRequests: 650_000 },
    wants: 0,
    isAsked: false,
    sockets: 0,
    members: 0,
  });
}

/** A channel that has been told its pace. */
async function slowed(): Promise<readonly [Ear, Ear, ChannelId]> {
  const network = freshNetwork();
  const [a, b, channel] = await relayed(await TestPeer.joined(network), await TestPeer.joined(network));
  await spend(network);
  await env.RELAY.getByName(channel).settleNow();
  expect([await a.next(), await b.next()]).toEqual([PACE, PACE]);
  return [a, b, channel];
}

async function pass(from: Ear, to: Ear): Promise<void> {
  from.socket.send(FRAME);
  expect(((await to.next()) as ArrayBuffer).byteLength).toBe(FRAME.length);
}

test.each(["stays awake", "has slept"])(
  "a new day ends the pace of each side with its next message, when the object %s",
  async (how) => {
    const [a, b, channel] = await slowed();
    await pass(a, b);
    vi.setSystemTime((Math.floor(Date.now() / DAY_MS) + 1) * DAY_MS + 1);
    if (how === "has slept") await sleepRelay(channel);
    await pass(a, b);
    expect(await a.next()).toBe("pace:0");
    b.socket.send(`ack:${2 * FRAME.length}`);
    expect(await b.next()).toBe("pace:0");
    // Nothing holds them to it any more: this is as much as the credit allows at once, and more than a pace would.
    for (let sent = 0; sent < 2 * RELAY_UNACKED_BYTES_MAX; sent += FRAME.length) {
      await pass(a, b);
      b.socket.send(`ack:${sent + 3 * FRAME.length}`);
    }
  },
);
