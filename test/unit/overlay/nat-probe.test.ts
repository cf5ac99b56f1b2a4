import { expect, test } from "vitest";
import { nodeRuntime } from "../../../peer/adapters/node/runtime.ts";
import { mappingOf, NatProbe, probeNat, stunServersOf } from "../../../peer/overlay/nat-probe.ts";
import type { Runtime } from "../../../peer/runtime.ts";
import type { UdpEndpoint, UdpHost, UdpSocket } from "../../../peer/runtime-udp.ts";
import { answerStun } from "../../natlab/stun-responder.ts";

const mapped = (
  port: number,
  address = "203.0.113.1",
): { family: "IPv4"; address: string; port: number } => ({
  family: "IPv4",
  address,
  port,
});

test.each([
  ["nobody answered", [], "unknown"],
  ["one answered", [mapped(4000)], "unknown"],
  ["both saw the same", [mapped(4000), mapped(4000)], "endpoint-independent"],
  ["each saw another port", [mapped(4000), mapped(4001)], "symmetric"],
  ["each saw another address", [mapped(4000), mapped(4000, "203.0.113.2")], "symmetric"],
  ["they saw the machine itself", [mapped(4000, "192.0.2.5")], "none"],
])("%s", (_, answers, expected) => {
  expect(mappingOf(answers, ["192.0.2.5"])).toBe(expected);
});

/** A NAT in front of IPv4 alone, whose servers answer at once. */
function natHost(portFor: (server: string) => number): UdpHost & { opened: number } {
  const host = {
    opened: 0,
    addresses: () => ["192.168.1.2"],
    route: () => Promise.resolve(undefined),
    open: (family: string) => {
      host.opened += 1;
      if (family === "IPv6") return Promise.reject(new Error("no IPv6 here"));
      const socket = {
        onMessage: (() => {}) as UdpSocket["onMessage"],
        close: () => {},
        send: (bytes: Uint8Array, to: UdpEndpoint) => {
          const answer = answerStun(Buffer.from(bytes), { address: "203.0.113.1", port: portFor(to.host) });
          if (answer !== undefined) socket.onMessage(answer, to);
          return Promise.resolve();
        },
      };
      return Promise.resolve(socket);
    },
  };
  return host;
}

const SERVERS = [
  { urls: ["stun:192.0.2.10", "turn:192.0.2.11", "stun:192.0.2.12:53", "stun:[2001:db8::1]"] },
];
const runtimeWith = (udp: UdpHost | undefined): Runtime => ({
  ...nodeRuntime({ dataDir: undefined, webrtc: undefined }),
  udp,
});

test("a port for each server is a symmetric NAT, one for all is not", async () => {
  const bySever = natHost((server) => (server === "192.0.2.10" ? 1000 : 2000));
  const facts = await probeNat(runtimeWith(bySever), bySever, stunServersOf(SERVERS));
  expect(facts).toMatchObject({ mapping: "symmetric", ipv4: { failures: [] }, ipv6: { mapped: [] } });
  const one = natHost(() => 1000);
  expect((await probeNat(runtimeWith(one), one, stunServersOf(SERVERS))).mapping).toBe(
    "endpoint-independent",
  );
});

test("the answer is remembered, and without sockets or a second server it is unknown", async () => {
  const host = natHost(() => 1000);
  const probe = new NatProbe(runtimeWith(host), () => Promise.resolve(SERVERS));
  expect(await probe.mapping()).toBe("endpoint-independent");
  expect(await probe.mapping()).toBe("endpoint-independent");
  expect(host.opened).toBe(2);
  expect(await new NatProbe(runtimeWith(undefined), () => Promise.resolve(SERVERS)).mapping()).toBe(
    "unknown",
  );
  const single = [{ urls: ["stun:192.0.2.10"] }];
  expect(await new NatProbe(runtimeWith(host), () => Promise.resolve(single)).mapping()).toBe("unknown");
  const failing = new NatProbe(runtimeWith(host), () => Promise.reject(new Error("no edge")));
  expect(await failing.mapping()).toBe("unknown");
});
