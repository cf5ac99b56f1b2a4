/** STUN and TURN servers outlive the edge that named them, and an edge that does not answer is not waited for again and again. */
import { expect, onTestFinished, test, vi } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { IceServers } from "../../../peer/overlay/ice-servers.ts";

const MINUTE_MS = 60_000;
const STUN = { urls: ["stun:edge.example"] };
const TURN = { urls: ["turn:edge.example"], username: "u", credential: "c" };

type Answer = () => Promise<Response>;
const answers = (...iceServers: readonly object[]): Answer => {
  return async () => Response.json({ iceServers });
};
const refuses: Answer = () => Promise.reject(new TypeError("fetch failed"));

interface World {
  readonly clock: SimClock;
  readonly ice: IceServers;
  readonly asked: string[];
  /** What the edge does when it is asked. */
  edge: Answer | "silent";
}

function world(edge: World["edge"], member?: ConstructorParameters<typeof IceServers>[2]): World {
  const clock = new SimClock();
  const runtime = simRuntime({ seed: 9, clock });
  const made: World = {
    clock,
    ice: new IceServers(runtime, "https://edge.example", member),
    asked: [],
    edge,
  };
  vi.stubGlobal("fetch", (url: URL, { signal }: { readonly signal: AbortSignal }) => {
    made.asked.push(url.href);
    if (made.edge !== "silent") return made.edge();
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  });
  onTestFinished(() => {
    vi.unstubAllGlobals();
    clock.close();
  });
  return made;
}

/** How long a negotiation is kept waiting, at most. */
async function waitedMs({ clock, ice }: World): Promise<number> {
  const fromMs = clock.monotonicMs();
  await clock.runUntil(ice.get());
  return clock.monotonicMs() - fromMs;
}

test("the edge is asked once for all who negotiate, and again after ten minutes, beside", async () => {
  const made = world(answers(STUN, TURN));
  expect(await Promise.all([made.ice.get(), made.ice.get()])).toEqual([
    [STUN, TURN],
    [STUN, TURN],
  ]);
  await made.clock.advance(9 * MINUTE_MS);
  await made.ice.get();
  expect(made.asked).toHaveLength(1);
  await made.clock.advance(2 * MINUTE_MS);
  made.edge = "silent";
  expect(await waitedMs(made)).toBe(0);
  expect(made.asked).toHaveLength(2);
});

test("an edge that is gone takes its STUN servers with it never, and TURN after an hour", async () => {
  const made = world(answers(STUN, TURN));
  await made.ice.get();
  made.edge = refuses;
  for (let minutes = 0; minutes < 55; minutes++) {
    await made.clock.advance(MINUTE_MS);
    expect(await made.ice.get()).toEqual([STUN, TURN]);
  }
  await made.clock.advance(10 * MINUTE_MS);
  expect(await made.ice.get()).toEqual([STUN]);
  await made.clock.advance(24 * 60 * MINUTE_MS);
  expect(await made.ice.get()).toEqual([STUN]);
  made.edge = answers(TURN);
  await made.clock.advance(10 * MINUTE_MS);
  await made.ice.get();
  await made.clock.settle();
  expect(await made.ice.get()).toEqual([TURN]);
});

test("a silent or refusing edge that never gave a list is asked more and more rarely", async () => {
  const made = world("silent");
  for (const edge of ["silent", async () => new Response("", { status: 503 })] as const) {
    made.edge = edge;
    for (let seconds = 0; seconds < 600; seconds++) {
      const before = made.asked.length;
      expect(await waitedMs(made)).toBeLessThanOrEqual(made.asked.length > before ? 3_000 : 0);
      await made.clock.advance(1_000);
    }
  }
  expect(made.asked.length).toBeGreaterThan(4);
  expect(made.asked.length).toBeLessThan(40);
});

test("who is let in asks anew and waits for it; who is let in again asks beside, and the last answer counts", async () => {
  const member = { network: "demo", back: "", proof: async () => "proof=1" };
  const made = world(answers(STUN), member);
  expect(await made.ice.get()).toEqual([STUN]);
  member.back = "let-in";
  made.edge = answers(STUN, TURN);
  expect(await made.ice.get()).toEqual([STUN, TURN]);
  const late = Promise.withResolvers<Response>();
  member.back = "slow";
  made.edge = () => late.promise;
  expect(await waitedMs(made)).toBe(0);
  member.back = "again";
  made.edge = answers(TURN);
  await made.ice.get();
  await made.clock.settle();
  late.resolve(Response.json({ iceServers: [STUN] }));
  await made.clock.settle();
  expect(await made.ice.get()).toEqual([TURN]);
  expect(made.asked).toHaveLength(4);
});

test("who is let in by an edge that then gives no list has the old one", async () => {
  const member = { network: "demo", back: "", proof: async () => "proof=1" };
  const made = world(answers(STUN), member);
  await made.ice.get();
  member.back = "let-in";
  made.edge = refuses;
  expect(await made.ice.get()).toEqual([STUN]);
});
