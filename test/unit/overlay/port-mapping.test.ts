import { expect, onTestFinished, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import type { MappedPort, MappingProtocol, PortMapper } from "../../../peer/links/port-mapping/mapper.ts";
import { checkOptions } from "../../../peer/api/options.ts";
import { LEASE_MS, PortMapping, type PortMappingState } from "../../../peer/overlay/port-mapping.ts";
import { PeerloomError } from "../../../shared/errors.ts";

const refused = new PeerloomError("link/failed", "The gateway refuses: not authorised.");
const HOME: MappedPort = { host: "203.0.113.5", port: 4000, lifetimeMs: LEASE_MS };

/** A gateway whose answers the test chooses, each time anew; an error is thrown, and "silent" is waited for until the signal. */
class FakeGateway implements PortMapper {
  readonly protocol: MappingProtocol;
  readonly gateway = "192.168.1.1";
  readonly askedAtMs: number[] = [];
  answer: MappedPort | PeerloomError | "silent";
  unmapped = 0;
  readonly #clock: SimClock;

  constructor(clock: SimClock, answer: FakeGateway["answer"], protocol: MappingProtocol = "PCP") {
    this.#clock = clock;
    this.answer = answer;
    this.protocol = protocol;
  }

  map(_port: number, _lifetimeMs: number, signal: AbortSignal): Promise<MappedPort> {
    this.askedAtMs.push(this.#clock.monotonicMs());
    return this.#reply(this.answer, signal);
  }

  unmap(signal: AbortSignal): Promise<void> {
    this.unmapped += 1;
    return this.#reply(this.answer === "silent" ? "silent" : HOME, signal).then(() => undefined);
  }

  #reply(answer: FakeGateway["answer"], signal: AbortSignal): Promise<MappedPort> {
    if (answer instanceof PeerloomError) return Promise.reject(answer);
    if (answer !== "silent") return Promise.resolve(answer);
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    });
  }
}

interface Mapped {
  readonly clock: SimClock;
  readonly mapping: PortMapping;
  readonly states: PortMappingState[];
}

function mapped(clock: SimClock, gateways: readonly PortMapper[]): Mapped {
  const states: PortMappingState[] = [];
  const mapping = new PortMapping({
    runtime: simRuntime({ seed: 1, clock }),
    port: 4000,
    async *find() {
      yield* gateways;
    },
    onChange: (state) => states.push(state),
  });
  onTestFinished(() => clock.close());
  return { clock, mapping, states };
}

const phases = (states: readonly PortMappingState[]): string[] =>
  states.map((state) =>
    state.phase === "mapped" ? state.address : state.phase === "failed" ? state.why : "looking",
  );

test("a lease is renewed between half and five eighths of its time, and removed at the end", async () => {
  const clock = new SimClock();
  const gateway = new FakeGateway(clock, HOME);
  const { mapping, states } = mapped(clock, [gateway]);
  await clock.advance(3 * LEASE_MS);
  const pauses = gateway.askedAtMs.map((atMs, i) => atMs - (gateway.askedAtMs[i - 1] ?? 0)).slice(1);
  expect(pauses.length).toBeGreaterThanOrEqual(4);
  for (const pause of pauses) {
    expect(pause).toBeGreaterThanOrEqual(LEASE_MS / 2);
    expect(pause).toBeLessThanOrEqual((LEASE_MS * 5) / 8);
  }
  expect(new Set(pauses).size).toBe(pauses.length);
  expect(states).toEqual([
    { phase: "mapped", protocol: "PCP", gateway: "192.168.1.1", address: "tcp://203.0.113.5:4000" },
  ]);
  await clock.runUntil(mapping.close());
  expect(gateway.unmapped).toBe(1);
  expect(clock.timersPending).toBe(0);
});

test("another outer address is told when the lease is renewed", async () => {
  const clock = new SimClock();
  const gateway = new FakeGateway(clock, HOME);
  const { mapping, states } = mapped(clock, [gateway]);
  await clock.advance(1);
  gateway.answer = { ...HOME, host: "198.51.100.9", port: 5000 };
  await clock.advance(LEASE_MS);
  expect(phases(states)).toEqual(["tcp://203.0.113.5:4000", "tcp://198.51.100.9:5000"]);
  await clock.runUntil(mapping.close());
});

test("a network that may have changed is asked at once", async () => {
  const clock = new SimClock();
  const gateway = new FakeGateway(clock, HOME);
  const { mapping } = mapped(clock, [gateway]);
  await clock.advance(1_000);
  mapping.hurry();
  await clock.advance(0);
  expect(gateway.askedAtMs).toEqual([0, 1_000]);
  await clock.runUntil(mapping.close());
});

test("a gateway that grants a moment or for ever is neither asked all the time nor left alone", async () => {
  for (const lifetimeMs of [0, 1, 2 ** 32 * 1_000]) {
    const clock = new SimClock();
    const gateway = new FakeGateway(clock, { ...HOME, lifetimeMs });
    const { mapping } = mapped(clock, [gateway]);
    await clock.advance(LEASE_MS);
    expect(gateway.askedAtMs.length).toBeGreaterThanOrEqual(2);
    expect(gateway.askedAtMs.length).toBeLessThanOrEqual(21);
    await clock.runUntil(mapping.close());
  }
});

test.each(["10.0.0.7", "100.64.0.2", "192.168.0.9", "127.0.0.1", "239.1.1.1", "0.0.0.0", "255.255.255.255"])(
  "%s is no address that the internet reaches: said, not announced, and not kept",
  async (host) => {
    const clock = new SimClock();
    const gateway = new FakeGateway(clock, { ...HOME, host });
    const { mapping, states } = mapped(clock, [gateway]);
    await clock.advance(1);
    expect(states).toMatchObject([
      { phase: "failed", why: "private-address", detail: expect.stringContaining(host) as string },
    ]);
    expect(gateway.unmapped).toBe(1);
    await clock.runUntil(mapping.close());
  },
);

test("a protocol that is refused leaves it to the next one", async () => {
  const clock = new SimClock();
  const gateways = [new FakeGateway(clock, refused), new FakeGateway(clock, HOME, "UPnP-IGD")];
  const { mapping, states } = mapped(clock, gateways);
  await clock.advance(1);
  expect(states).toMatchObject([{ phase: "mapped", protocol: "UPnP-IGD" }]);
  await clock.runUntil(mapping.close());
});

test.each([
  ["no-gateway", []],
  ["refused", [refused]],
  ["refused", ["silent"]],
  ["no-gateway", [new PeerloomError("link/unavailable", "This machine has no IPv4.")]],
] as const)("%s is a state, and is tried again more and more rarely", async (why, answers) => {
  const clock = new SimClock();
  const gateways = answers.map((answer) => new FakeGateway(clock, answer));
  const { mapping, states } = mapped(clock, gateways);
  await clock.advance(3_600_000);
  expect(phases(states)).toEqual([why]);
  const [gateway] = gateways;
  if (gateway !== undefined) {
    expect(gateway.askedAtMs.length).toBeGreaterThan(5);
    expect(gateway.askedAtMs.length).toBeLessThan(60);
  }
  await clock.runUntil(mapping.close());
  expect(clock.timersPending).toBe(0);
});

test("a lease that could not be renewed is announced until its end, and had again", async () => {
  const clock = new SimClock();
  const gateway = new FakeGateway(clock, HOME);
  const { mapping, states } = mapped(clock, [gateway]);
  await clock.advance(1);
  gateway.answer = "silent";
  await clock.advance(LEASE_MS - 2_000);
  expect(mapping.state.phase).toBe("mapped");
  await clock.advance(60_000);
  expect(mapping.state.phase).toBe("failed");
  gateway.answer = { ...HOME, port: 4001 };
  await clock.advance(LEASE_MS);
  expect(phases(states)).toEqual(["tcp://203.0.113.5:4000", "refused", "tcp://203.0.113.5:4001"]);
  await clock.runUntil(mapping.close());
});

test("closing waits two seconds for a gateway that is silent, and takes back what it may have mapped", async () => {
  const clock = new SimClock();
  const gateway = new FakeGateway(clock, "silent");
  const { mapping } = mapped(clock, [gateway]);
  await clock.advance(500);
  const closing = mapping.close();
  expect(mapping.close()).toBe(closing);
  await clock.runUntil(closing, 2_000);
  expect(gateway.unmapped).toBe(1);
  expect(clock.timersPending).toBe(0);
});

test("a port is mapped only where there is one, and only when it is asked for", () => {
  expect(checkOptions({ listen: "0.0.0.0:4000" }).mapPorts).toBe(false);
  expect(checkOptions({ listen: "0.0.0.0:4000", mapPorts: true }).mapPorts).toBe(true);
  for (const options of [{}, { listen: "0.0.0.0:4000", only: "relay" as const }])
    expect(() => checkOptions({ ...options, mapPorts: true })).toThrow("no port to map");
});
