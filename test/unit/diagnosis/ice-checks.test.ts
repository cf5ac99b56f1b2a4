/** What is read from ICE candidates where there are no datagram sockets: all that is known, and nothing that is not. */
import { expect, onTestFinished, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { diagnoseOn } from "../../../peer/api/diagnosis/diagnose.ts";
import { checkByIce } from "../../../peer/api/diagnosis/ice-checks.ts";
import { PARTS_ON_DEMAND } from "../../../peer/api/parts-on-demand.ts";
import type { WebRtcHost } from "../../../peer/runtime.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { FakeRtcConnection } from "../links/fake-rtc-connection.ts";

const [A, B, C] = ["192.0.2.10", "192.0.2.11", "192.0.2.12"] as const;
const HIDDEN = "candidate:1 1 udp 2113937151 cd3a96d4-737f-4af6-91d5-8baa5c4a3a77.local 5000 typ host";
const host = (address: string): string => `candidate:1 1 udp 2113937151 ${address} 5000 typ host`;
const seen = (address: string, port: number, networkId = 1): string =>
  `candidate:2 1 udp 1677729535 ${address} ${port} typ srflx raddr 0.0.0.0 rport 0 network-id ${networkId}`;

/** A browser: its own candidates, and what each server that answers shows. Like browsers it tells nothing twice, and waits for who is silent. */
class FakeBrowser implements WebRtcHost {
  readonly connections: FakeRtcConnection[] = [];
  readonly #own: readonly string[];
  readonly #shown: Readonly<Record<string, readonly string[]>>;

  constructor(own: readonly string[], shown: Readonly<Record<string, readonly string[]>>) {
    this.#own = own;
    this.#shown = shown;
  }

  open({ iceServers, onSignal, onGathered }: Parameters<WebRtcHost["open"]>[0]): FakeRtcConnection {
    const connection = new FakeRtcConnection();
    this.connections.push(connection);
    queueMicrotask(() => {
      const answers = iceServers.flatMap(({ urls }) =>
        urls.map((url) => this.#shown[url.split(":")[1] ?? ""]),
      );
      onSignal({ kind: "offer", sdp: "v=0\r\n" });
      for (const candidate of new Set([...this.#own, ...answers.flatMap((answer) => answer ?? [])]))
        onSignal({ kind: "candidate", candidate, mid: "0" });
      if (!answers.includes(undefined)) onGathered?.();
    });
    return connection;
  }
}

interface Expected {
  readonly udp: boolean | undefined;
  readonly mapping: string;
  readonly ipv6: boolean | null;
  readonly details: string;
}

async function check(browser: FakeBrowser, hosts: readonly string[], expected: Expected): Promise<void> {
  const clock = new SimClock();
  onTestFinished(() => clock.close());
  const runtime = simRuntime({ seed: 1, clock });
  const servers = hosts.map((each) => ({ host: each, port: 3478 }));
  const { signal } = new AbortController();
  const { udp, mapping, checks } = await clock.runUntil(checkByIce(runtime, browser, servers, signal), 5_000);
  const ipv6 = checks.find(({ name }) => name === "ipv6")?.ok;
  const details = checks.map(({ name, detail }) => `${name}: ${detail}`).join("\n");
  expect({ udp, mapping, ipv6, details }).toEqual({
    ...expected,
    details: expect.stringContaining(expected.details),
  });
  expect(checks.map(({ name }) => name)).toEqual(["udp", "ipv6", "nat"]);
  expect(browser.connections.every(({ isDestroyed }) => isDestroyed)).toBe(true);
  expect(clock.timersPending).toBe(0);
}

const SEEN = seen("203.0.113.1", 4000);

test.each<[string, FakeBrowser, readonly string[], Expected]>([
  [
    "no server",
    new FakeBrowser([HIDDEN], {}),
    [],
    { udp: undefined, mapping: "unknown", ipv6: null, details: "udp: no STUN server is known" },
  ],
  [
    "none answers",
    new FakeBrowser([HIDDEN], {}),
    [A, B],
    {
      udp: false,
      mapping: "unknown",
      ipv6: null,
      details: `udp: no STUN server answers: ${A} is silent; ${B} is silent`,
    },
  ],
  [
    "nothing is gathered at all",
    new FakeBrowser([], {}),
    [A],
    { udp: false, mapping: "unknown", ipv6: null, details: "an extension may hold WebRTC back" },
  ],
  [
    "one alone says nothing of the NAT",
    new FakeBrowser([HIDDEN], { [A]: [SEEN] }),
    [A],
    { udp: true, mapping: "unknown", ipv6: null, details: "udp: STUN sees 203.0.113.1 port 4000" },
  ],
  [
    "one of two answers: that there is one mapping only is not known",
    new FakeBrowser([HIDDEN], { [A]: [SEEN] }),
    [A, B],
    { udp: true, mapping: "unknown", ipv6: null, details: "nat: unknown: two STUN servers must answer" },
  ],
  [
    "two see the same",
    new FakeBrowser([HIDDEN], { [A]: [SEEN], [B]: [SEEN] }),
    [A, B],
    { udp: true, mapping: "endpoint-independent", ipv6: null, details: "nat: one mapping" },
  ],
  [
    "two of three see the same",
    new FakeBrowser([HIDDEN], { [A]: [SEEN], [C]: [SEEN] }),
    [A, B, C],
    { udp: true, mapping: "endpoint-independent", ipv6: null, details: "nat: one mapping" },
  ],
  [
    "two see different ports",
    new FakeBrowser([HIDDEN], { [A]: [SEEN], [B]: [seen("203.0.113.1", 4001)] }),
    [A, B],
    { udp: true, mapping: "symmetric", ipv6: null, details: "nat: another mapping for each destination" },
  ],
  [
    "two networks that the browser tells apart, the same mapping in each",
    new FakeBrowser([HIDDEN], {
      [A]: [SEEN, seen("203.0.113.1", 4001, 2)],
      [B]: [SEEN, seen("203.0.113.1", 4001, 2)],
    }),
    [A, B],
    { udp: true, mapping: "endpoint-independent", ipv6: null, details: "nat: one mapping" },
  ],
  [
    "two networks that the browser mixes",
    new FakeBrowser([HIDDEN], {
      [A]: [SEEN, seen("203.0.113.1", 4001)],
      [B]: [SEEN, seen("203.0.113.1", 4001)],
    }),
    [A, B],
    {
      udp: true,
      mapping: "unknown",
      ipv6: null,
      details: "nat: unknown: this machine is in several networks",
    },
  ],
  [
    "two see different addresses, of one network or of two",
    new FakeBrowser([HIDDEN], { [A]: [SEEN], [B]: [seen("203.0.113.2", 4000)] }),
    [A, B],
    {
      udp: true,
      mapping: "unknown",
      ipv6: null,
      details: "nat: unknown: each STUN server sees another address",
    },
  ],
  [
    "an IPv6 address that STUN sees; the NAT is IPv4's",
    new FakeBrowser([HIDDEN], {
      [A]: [SEEN, seen("2001:db8::5", 5000)],
      [B]: [seen("203.0.113.1", 4001), seen("2001:db8::5", 5000)],
    }),
    [A, B],
    { udp: true, mapping: "symmetric", ipv6: true, details: "ipv6: STUN sees 2001:db8::5" },
  ],
  [
    "IPv6 alone",
    new FakeBrowser([HIDDEN], { [A]: [seen("2001:db8::5", 5000)], [B]: [seen("2001:db8::5", 5000)] }),
    [A, B],
    {
      udp: true,
      mapping: "endpoint-independent",
      ipv6: true,
      details: "udp: STUN sees 2001:db8::5 port 5000",
    },
  ],
  [
    "a public address of its own, which STUN could only repeat",
    new FakeBrowser([host("198.51.100.7"), host("2001:db8::5")], { [A]: [], [B]: [] }),
    [A, B],
    {
      udp: undefined,
      mapping: "unknown",
      ipv6: null,
      details: "udp: unknown: this machine has 198.51.100.7",
    },
  ],
  [
    "its own address is what STUN sees",
    new FakeBrowser([host("198.51.100.7")], { [A]: [seen("198.51.100.7", 4000)] }),
    [A],
    { udp: true, mapping: "none", ipv6: false, details: "nat: none" },
  ],
  [
    "private addresses that are told",
    new FakeBrowser([host("192.168.1.2"), host("fe80::1")], { [A]: [SEEN] }),
    [A],
    { udp: true, mapping: "unknown", ipv6: false, details: "ipv6: this machine has no public IPv6 address" },
  ],
])("%s", (_, browser, hosts, expected) => check(browser, hosts, expected));

test("four servers are asked at most, together and alone", async () => {
  const hosts = [A, B, C, "192.0.2.13", "192.0.2.14"];
  const browser = new FakeBrowser([HIDDEN], { [A]: [SEEN], [B]: [SEEN] });
  await check(browser, hosts, {
    udp: true,
    mapping: "endpoint-independent",
    ipv6: null,
    details: "STUN sees",
  });
  expect(browser.connections.length).toBe(5);
});

test("a server that is named twice is one", async () => {
  const browser = new FakeBrowser([HIDDEN], { [A]: [SEEN] });
  await check(browser, [A, A], { udp: true, mapping: "unknown", ipv6: null, details: "nat: unknown" });
  expect(browser.connections.length).toBe(2);
});

test("a browser that refuses to open a connection is named as the reason", () => {
  const browser = new FakeBrowser([], {});
  browser.open = () => {
    throw new Error("no more connections");
  };
  return check(browser, [A], { udp: false, mapping: "unknown", ipv6: null, details: "no more connections" });
});

test("who gives up waits for nothing, and no connection is left", async () => {
  const clock = new SimClock();
  onTestFinished(() => clock.close());
  const browser = new FakeBrowser([HIDDEN], {});
  const stop = new AbortController();
  const servers = [{ host: A, port: 3478 }];
  const checking = checkByIce(simRuntime({ seed: 1, clock }), browser, servers, stop.signal);
  stop.abort(new PeerloomError("aborted", "Enough."));
  await expect(clock.runUntil(checking, 0)).rejects.toMatchObject({ code: "aborted" });
  expect(browser.connections.map(({ isDestroyed }) => isDestroyed)).toEqual([true, true]);
  expect(clock.timersPending).toBe(0);
});

test("what a host has decides by what it is looked at, and a page is advised as a page", async () => {
  const clock = new SimClock();
  onTestFinished(() => clock.close());
  const told = async (webrtc: WebRtcHost | undefined): Promise<Record<string, string>> => {
    const runtime = { ...simRuntime({ seed: 1, clock }), tcp: undefined, udp: undefined, webrtc };
    const details: Record<string, string> = {};
    const findings = diagnoseOn({ runtime, parts: PARTS_ON_DEMAND }, { edge: null, stun: [A] });
    for (;;) {
      const { value, done } = await clock.runUntil(findings.next(), 10_000);
      if (done === true) return details;
      if (value.kind === "check") details[value.name] = `${value.ok}: ${value.detail}`;
      else details[value.code] = value.advice;
    }
  };
  const without = await told(undefined);
  expect(without["webrtc"]).toContain("false: not there: this browser has it switched off");
  expect(without["nat"]).toContain("null: there is neither a UDP socket nor WebRTC");
  expect(without["port mapping"]).toContain("null: there are no UDP sockets here");
  expect(without["webrtc-unavailable"]).toContain("switch it on");
  const silent = await told(new FakeBrowser([HIDDEN], {}));
  expect(silent["udp"]).toContain("false: no STUN server answers");
  expect(silent["udp-blocked"]).not.toContain("--listen");
});
