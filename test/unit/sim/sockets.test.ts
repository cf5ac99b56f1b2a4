/** Links over the sockets of a simulated internet keep the contract that those over real ones keep, and meet what a network does. */
import { expect, onTestFinished, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { SimInternet, type SimMachine, type SimNat } from "../../../peer/adapters/sim/internet.ts";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { simTcp } from "../../../peer/adapters/sim/tcp.ts";
import { SimWebRtc } from "../../../peer/adapters/sim/webrtc.ts";
import type { Link } from "../../../peer/links/link.ts";
import { listen } from "../../../peer/links/listen.ts";
import { dialTcp } from "../../../peer/links/tcp.ts";
import { negotiateWebRtc, type WebRtcNegotiation } from "../../../peer/links/webrtc.ts";
import type { Runtime } from "../../../peer/runtime.ts";
import { type LinkPair, linkContract } from "../../contract/link.ts";

const ONE_WAY_MS = 20;
const never = new AbortController().signal;

interface Host {
  readonly machine: SimMachine;
  readonly runtime: Runtime;
}

class Stage {
  readonly clock = new SimClock();
  readonly internet = new SimInternet({
    clock: this.clock,
    random: seededRandom("sockets"),
    lossShare: 0,
    oneWayMs: () => ONE_WAY_MS,
  });
  readonly webrtc = new SimWebRtc(this.internet);

  host(name: string, nat: SimNat = "none", bytesPerSecond = 10_000_000): Host {
    const { clock } = this;
    const machine = this.internet.add({ nat, bytesPerSecond });
    const webrtc = this.webrtc.host({ machine, clock, random: seededRandom(name) });
    const tcp = simTcp(this.internet, machine, clock);
    return { machine, runtime: simRuntime({ seed: name, clock, tcp, webrtc }) };
  }

  async tcpPair(a: Host, b: Host): Promise<{ a: Link; b: Link }> {
    const accepted = Promise.withResolvers<Link>();
    const where = { host: b.machine.address, port: 0 };
    const { port } = await listen(b.runtime, where, accepted.resolve);
    const dialled = dialTcp(a.runtime, { host: b.machine.address, port }, never);
    const [first, second] = await this.clock.runUntil(Promise.all([dialled, accepted.promise]));
    return { a: first, b: second };
  }

  async webrtcPair(a: Host, b: Host): Promise<{ a: Link; b: Link }> {
    const negotiate = (
      { runtime }: Host,
      role: "offerer" | "answerer",
      send: Parameters<typeof negotiateWebRtc>[0]["send"],
    ): WebRtcNegotiation => {
      const { webrtc: host, clock } = runtime;
      if (host === undefined) throw new Error("no WebRTC");
      return negotiateWebRtc({ host, clock, role, send, iceServers: [], signal: never });
    };
    const answerer: WebRtcNegotiation = negotiate(b, "answerer", (batch) => offerer.accept(batch));
    const offerer: WebRtcNegotiation = negotiate(a, "offerer", (batch) => answerer.accept(batch));
    answerer.link.catch(() => {}); // Both fail alike.
    const [first, second] = await this.clock.runUntil(Promise.all([offerer.link, answerer.link]));
    return { a: first, b: second };
  }
}

function openStage(): Stage {
  const stage = new Stage();
  onTestFinished(() => stage.clock.close());
  return stage;
}

linkContract("simulated TCP", () => contractPair((stage, a, b) => stage.tcpPair(a, b)));
linkContract("simulated WebRTC", () => contractPair((stage, a, b) => stage.webrtcPair(a, b)), {
  tellsOrderlyEnd: false,
});

async function contractPair(
  open: (stage: Stage, a: Host, b: Host) => Promise<{ a: Link; b: Link }>,
): Promise<LinkPair> {
  const stage = new Stage();
  const pair = await open(stage, stage.host("a"), stage.host("b"));
  return { ...pair, settle: () => stage.clock.run(), dispose: () => stage.clock.close() };
}

test("a port that nobody listens on refuses after a round trip, a machine behind a NAT is silent", async () => {
  const stage = openStage();
  const [a, b, hidden] = [stage.host("a"), stage.host("b"), stage.host("hidden", "easy")];
  const refused = async ({ machine }: Host): Promise<void> => {
    const dialled = dialTcp(a.runtime, { host: machine.address, port: 4_000 }, never);
    await expect(stage.clock.runUntil(dialled)).rejects.toMatchObject({ code: "link/failed" });
  };
  await refused(b);
  expect(stage.clock.monotonicMs()).toBe(2 * ONE_WAY_MS);
  await refused(hidden);
  expect(stage.clock.monotonicMs()).toBe(2 * ONE_WAY_MS + 10_000);
});

test.each<[SimNat, SimNat, boolean]>([
  ["none", "hard", true],
  ["easy", "easy", true],
  ["easy", "hard", true],
  ["hard", "hard", false],
])("WebRTC between NATs %s and %s meets: %s", async (here, there, meets) => {
  const stage = openStage();
  const pair = stage.webrtcPair(stage.host("a", here), stage.host("b", there));
  if (meets) expect((await pair).a.kind).toBe("webrtc");
  else await expect(pair).rejects.toMatchObject({ code: "link/timeout" });
});

test("groups are cut from each other, and what was on its way arrives when they are not", async () => {
  const stage = openStage();
  const [near, far] = [stage.host("a"), stage.host("b")];
  const { a, b } = await stage.tcpPair(near, far);
  const arrived: number[] = [];
  b.onFrame = () => arrived.push(stage.clock.monotonicMs());
  a.send([Uint8Array.of(1)]);
  far.machine.group = 1;
  stage.internet.changed();
  await stage.clock.advance(60_000);
  expect(arrived).toEqual([]);
  far.machine.group = 0;
  stage.internet.changed();
  await stage.clock.advance(1_000);
  expect(arrived).toHaveLength(1);
});

test("a machine that is lost leaves silence, and its port to the next who listens", async () => {
  const stage = openStage();
  const [near, far] = [stage.host("a"), stage.host("b")];
  const { a } = await stage.tcpPair(near, far);
  const closes: unknown[] = [];
  a.onClose = (error) => closes.push(error);
  stage.internet.lose(far.machine);
  a.send([Uint8Array.of(1)]);
  await stage.clock.advance(60_000);
  expect(closes).toEqual([]);
  expect(far.machine.ports.size).toBe(0);
});

test("a negotiation dies with its machine, though another process runs there at once", async () => {
  const stage = openStage();
  const [near, far] = [stage.host("a"), stage.host("b")];
  const pair = stage.webrtcPair(near, far);
  stage.clock.schedule(3 * ONE_WAY_MS, () => stage.webrtc.lose(far.machine));
  await expect(pair).rejects.toMatchObject({ code: "link/timeout" });
});

test("all paths of a machine share what it sends by", async () => {
  const stage = openStage();
  const source = stage.host("source", "none", 100_000);
  const takers = [stage.host("b"), stage.host("c")];
  const links = [];
  for (const taker of takers) links.push(await stage.tcpPair(source, taker));
  const startMs = stage.clock.monotonicMs();
  const arrivals: number[] = [];
  for (const { a, b } of links) {
    b.onFrame = () => arrivals.push(stage.clock.monotonicMs() - startMs);
    for (let i = 0; i < 5; i++) a.send([new Uint8Array(10_000)]);
  }
  await stage.clock.run();
  expect(arrivals).toHaveLength(10);
  expect(arrivals.at(-1)).toBeGreaterThan(1_000);
  expect(arrivals.at(-1)).toBeLessThan(1_050);
});
