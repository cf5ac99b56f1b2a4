/** What a peer does when its host puts it away, takes it back, was asleep, or its machine is elsewhere: told by what it calls. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { SimClock } from "../../peer/adapters/sim/clock.ts";
import { Lifecycle, type LifecycleOptions } from "../../peer/api/lifecycle.ts";
import { SLEPT_MS } from "../../peer/overlay/wake-watch.ts";
import type { LifecycleEvents } from "../../peer/runtime.ts";
import type { PeerSession } from "../../peer/session/session.ts";

type Woven = NonNullable<ReturnType<LifecycleOptions["woven"]>>;

let clock: SimClock;
let calls: string[];
let host: LifecycleEvents;
let isWatched: boolean;
beforeEach(() => {
  clock = new SimClock();
  calls = [];
});
afterEach(() => clock.close());

const call = (name: string) => (): void => void calls.push(name);

function sessionOf(name: string, kind: "direct" | "none"): PeerSession {
  const session: Partial<PeerSession> = {
    path: { kind, transport: "none", why: "", rttMs: undefined, description: name },
    check: (how) => void calls.push(`check ${name}${how?.slept === true ? " slept" : ""}`),
    park: call(`park ${name}`),
    leave: call(`leave ${name}`),
  };
  return session as PeerSession;
}

function lifecycleOf({ isWoven = true } = {}): Lifecycle {
  const upgrader: Partial<Woven["upgrader"]> = {
    wake: ({ path }) => void calls.push(`wake ${path.description}`),
    announceAddresses: ({ path }) => void calls.push(`announce ${path.description}`),
  };
  const woven = { upgrader, reentry: { hurry: call("reentry hurry") } } as Woven;
  isWatched = true;
  return new Lifecycle({
    runtime: {
      clock,
      lifecycle: {
        watch: (events) => {
          host = events;
          return () => (isWatched = false);
        },
      },
    },
    sessions: { all: () => [sessionOf("a", "direct"), sessionOf("b", "none")] },
    connector: { pause: call("connector pause"), resume: call("connector resume") },
    rendezvous: {
      pause: call("rendezvous pause"),
      resume: call("rendezvous resume"),
      doubt: call("rendezvous doubt"),
      hurry: call("rendezvous hurry"),
      updateAddresses: call("rendezvous addresses"),
    },
    rtc: { close: call("rtc close") },
    listening: { hurry: call("listening hurry") },
    woven: () => (isWoven ? woven : undefined),
  });
}

const RESUMED = [
  "connector resume",
  "listening hurry",
  "rendezvous resume",
  "rendezvous doubt",
  "rendezvous hurry",
];

test("put away it closes what is open and keeps its sessions; taken back it looks for all of it", () => {
  const lifecycle = lifecycleOf();
  host.away(false);
  expect(calls.splice(0)).toEqual(["connector pause", "rendezvous pause", "rtc close", "park a", "park b"]);
  host.back();
  expect(calls).toEqual([...RESUMED, "reentry hurry", "check a", "wake a", "check b", "wake b"]);
  lifecycle.stop();
});

test("put away for good it takes its leave of everybody", () => {
  const lifecycle = lifecycleOf();
  host.away(true);
  expect(calls).toEqual(["connector pause", "rendezvous pause", "rtc close", "leave a", "leave b"]);
  lifecycle.stop();
});

test("after a sleep its paths are doubted more", async () => {
  const lifecycle = lifecycleOf({ isWoven: false });
  let laterMs = 0;
  Object.assign(clock, { nowMs: () => clock.monotonicMs() + laterMs });
  await clock.advance(2_000);
  expect(calls).toEqual([]);
  laterMs = SLEPT_MS + 1_000;
  await clock.advance(2_000);
  expect(calls).toEqual([...RESUMED, "check a slept", "check b slept"]);
  lifecycle.stop();
});

test("with the edge back only sessions without a path are woken", () => {
  const lifecycle = lifecycleOf();
  lifecycle.reconnected();
  expect(calls).toEqual(["wake b"]);
  lifecycle.stop();
});

test("dialled elsewhere it tells the edge and every session", () => {
  const lifecycle = lifecycleOf();
  lifecycle.moved();
  expect(calls).toEqual(["rendezvous addresses", "announce a", "announce b"]);
  lifecycle.stop();
});

test("stopped it watches nothing and leaves no timer", () => {
  lifecycleOf().stop();
  expect([isWatched, clock.timersPending]).toEqual([false, 0]);
});
