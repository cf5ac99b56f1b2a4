/**
 * A rendezvous object, watched while it sleeps. What is counted are the events that the runtime hands to the class, and the instances it
 * made for them: what Cloudflare bills, and not what the edge's own account says of it.
 */
import { exports } from "cloudflare:workers";
import { afterEach, beforeEach, expect, type MockInstance, test, vi } from "vitest";
import { Rendezvous } from "../../edge/index.ts";
import { REPORT_EVERY_MS } from "../../edge/metrics.ts";
import { PING_TEXT, PONG_TEXT } from "../../shared/limits.ts";
import { freshNetwork, ORIGIN, TestPeer } from "./harness.ts";

/** workerd lets an object sleep after ten seconds without an event. */
const UNTIL_ASLEEP_MS = 11_500;
/** Far more often than a peer does it, so that no ten seconds pass without one. */
const HEARTBEAT_MS = 1_000;

let handlers: readonly MockInstance[] = [];

beforeEach(() => {
  const { prototype } = Rendezvous;
  handlers = [
    vi.spyOn(prototype, "fetch"),
    vi.spyOn(prototype, "webSocketMessage"),
    vi.spyOn(prototype, "webSocketClose"),
    vi.spyOn(prototype, "settleNow"),
    vi.spyOn(prototype, "drainCounters"),
  ];
});
afterEach(() => vi.restoreAllMocks());

/** Events so far, and the instances that they came to: one more for each wake. */
function watched(): { readonly events: number; readonly instances: number } {
  const events = handlers.reduce((sum, { mock }) => sum + mock.calls.length, 0);
  return { events, instances: new Set(handlers.flatMap(({ mock }) => mock.contexts)).size };
}

// First, because the other test leaves an object that is asked too. Who reported ten seconds ago is awake for ten more; after that nobody may ask it any more.
test("whoever reads the metrics over and over keeps no object awake", { timeout: 50_000 }, async () => {
  const network = freshNetwork();
  const first = await TestPeer.joined(network);
  const second = await TestPeer.joined(network);
  const asks = handlers.at(-1);
  for (const endMs = Date.now() + REPORT_EVERY_MS + UNTIL_ASLEEP_MS; Date.now() < endMs;) {
    await scheduler.wait(HEARTBEAT_MS);
    const response = await exports.default.fetch(`${ORIGIN}/metrics`);
    expect(await response.text()).toContain("peerloom_joins_total");
  }
  expect(asks?.mock.calls.length).toBeGreaterThan(2);
  const { events, instances } = watched();
  expect(instances).toBe(1);
  first.send({ kind: "signal", request: 1, to: second.id, sealed: new Uint8Array([1]) });
  await second.expect("signal");
  await vi.waitFor(() => expect(watched()).toEqual({ events: events + 1, instances: 2 }));
});

// Ten seconds of it are spent asleep: nothing but time shows that the object does so by itself.
test(
  "idle peers keep no object awake and wake none, however often they ask",
  { timeout: 30_000 },
  async () => {
    const network = freshNetwork();
    const first = await TestPeer.joined(network);
    const second = await TestPeer.joined(network);
    const { events } = watched();
    let heartbeats = 0;
    for (const endMs = Date.now() + UNTIL_ASLEEP_MS; Date.now() < endMs;) {
      await scheduler.wait(HEARTBEAT_MS);
      for (const { ear } of [first, second]) {
        ear.socket.send(PING_TEXT);
        expect(await ear.next()).toBe(PONG_TEXT);
        heartbeats += 1;
      }
    }
    expect(heartbeats).toBeGreaterThanOrEqual(20);
    expect(watched()).toEqual({ events, instances: 1 });
    first.send({ kind: "signal", request: 1, to: second.id, sealed: new Uint8Array([1]) });
    await second.expect("signal");
    // Another instance: the first was gone, and no heartbeat had brought it back.
    await vi.waitFor(() => expect(watched()).toEqual({ events: events + 1, instances: 2 }));
  },
);
